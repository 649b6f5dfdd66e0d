"""FastAPI with all that is not on the hot paths: lists, changing, address book, dead letters, providers, health."""

from functools import partial

from fastapi import FastAPI
from starlette.middleware import Middleware

from api import (
    auditing,
    dead_letters,
    errors,
    health,
    keys,
    listing,
    providers,
    recipients,
    secure,
    statistics,
    steering,
    stopping,
    suppressions,
    tenant_limits,
    tenants,
)
from api.envelope import Envelope
from api.parts import Parts
from api.raw_routes import RAW_ROUTES
from api.schema import document

_TITLE = "Clarion"
_ROUTERS = (
    listing,
    stopping,
    recipients,
    suppressions,
    dead_letters,
    keys,
    auditing,
    tenants,
    tenant_limits,
    providers,
    steering,
    statistics,
    health,
)


def create_app(parts: Parts) -> FastAPI:
    """The application; the dispatcher in front of it takes RAW_ROUTES."""
    secured = Middleware(
        Envelope, secure=secure.headers_of(parts.settings), docs=secure.headers_of_docs(parts.settings, _TITLE)
    )
    app = FastAPI(
        title=_TITLE,
        version="0.1.0",
        summary="Durable, multi-channel, multi-tenant notifications",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        middleware=[secured],
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.parts = parts
    errors.add_to(app)
    for module in _ROUTERS:
        app.include_router(module.router)
    app.openapi = partial(document, app, RAW_ROUTES)
    return app
