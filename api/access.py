"""The decision every route declares: which roles may, or why nobody is asked."""

from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.auth import MAY_MANAGE, MAY_OPERATE, MAY_READ, MAY_SEND
from api.envelope import request_id_of
from api.parts import Parts
from ledger.audit import By
from ledger.keys import Principal, Role

# FastAPI's routes that ask for no key: nothing of a tenant is in them.
PUBLIC = frozenset({"/livez", "/readyz", "/openapi.json", "/docs", "/problems/{code}"})

SIGNED = "signed"  # a webhook: the vendor's signature stands for a key

_Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(HTTPBearer(auto_error=False, scheme_name="apiKey", description="An API key: `clr_…`")),
]


class Require:
    """A dependency that lets in these roles only, and says who came."""

    def __init__(self, may: frozenset[Role], *, suspended: bool = False) -> None:
        """`suspended`: also a tenant that is; who may read may in any case."""
        self.may, self._suspended = may, suspended

    async def __call__(self, request: Request, _: _Bearer) -> Principal | str:
        """Raises Problem 401 and 403."""
        auth, host = parts_of(request).auth, _host(request)
        return await auth.admitted(request.headers, host, self.may, suspended=self._suspended)


class RequireTenant(Require):
    """The same for routes about one tenant's things: says whose."""

    async def __call__(self, request: Request, _: _Bearer) -> Principal | str:
        """Raises Problem 401 and 403."""
        return await parts_of(request).auth.tenant(request.headers, _host(request), self.may)


def parts_of(request: Request) -> Parts:
    """What handlers need."""
    return request.app.state.parts


async def _request_id(request: Request) -> str:
    return request_id_of(request.scope)


def by(who: Principal, request_id: str) -> By:
    """The caller, as the audit log names them."""
    return By(who.actor, request_id)


def _host(request: Request) -> str | None:
    return request.client.host if request.client else None


def decision(route: Any) -> frozenset[Role] | None:
    """The roles a route of FastAPI lets in; None for one that declares nothing."""
    dependant = getattr(route, "dependant", None)
    calls = [dependency.call for dependency in dependant.dependencies] if dependant else []
    return next((call.may for call in calls if isinstance(call, Require)), None)


HasParts = Annotated[Parts, Depends(parts_of)]
Sender = Annotated[str, Depends(RequireTenant(MAY_SEND))]
Reader = Annotated[str, Depends(RequireTenant(MAY_READ))]
SendingKey = Annotated[Principal, Depends(Require(MAY_SEND))]  # beside Sender: for the audit log
Manager = Annotated[str, Depends(RequireTenant(MAY_MANAGE))]
ManagingKey = Annotated[Principal, Depends(Require(MAY_MANAGE))]  # beside Manager
LetterReader = Annotated[Principal, Depends(Require(MAY_READ | MAY_OPERATE))]
LetterKeeper = Annotated[Principal, Depends(Require(MAY_MANAGE | MAY_OPERATE))]
Asker = Annotated[Principal, Depends(Require(MAY_READ | MAY_OPERATE))]
KeyKeeper = LetterKeeper
# To look, and to make a key worthless that leaked, a tenant may also while it is suspended.
KeyWatcher = Annotated[Principal, Depends(Require(MAY_MANAGE | MAY_OPERATE, suspended=True))]
RequestId = Annotated[str, Depends(_request_id)]
Operating = Annotated[Principal, Depends(Require(MAY_OPERATE))]
