"""AWS services by aiobotocore: one client per provider, its own retries off, and what each of its errors means."""

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError
from pydantic import SecretStr

from domain.outcomes import Answer, Outcome, in_doubt, vendor_down
from providers.errors import ErrorMap, refused, retry_after
from providers.http import CONNECTIONS, BaseUrl
from providers.reading import code
from settings import Section, SettingsError

CONNECT_TIMEOUT = 1.8  # seconds; below the shortest time a channel gives a call, so that it is known for what it is


@dataclass(slots=True)
class _Departure:
    """What a request takes along, and whether it has gone."""

    headers: Mapping[str, str]
    gone: bool = False


_departure: ContextVar[_Departure] = ContextVar("_departure")

# "Common errors" of the SES and SNS API references. Both services use these; their own codes come on top.
COMMON_ERRORS: ErrorMap = {
    "AccessDeniedException": Outcome.VENDOR_DOWN,
    "ExpiredTokenException": Outcome.VENDOR_DOWN,
    "IncompleteSignature": Outcome.VENDOR_DOWN,
    "InvalidClientTokenId": Outcome.VENDOR_DOWN,
    "MissingAuthenticationToken": Outcome.VENDOR_DOWN,
    "OptInRequired": Outcome.VENDOR_DOWN,
    "RequestExpired": Outcome.VENDOR_DOWN,  # our clock is wrong
    "SignatureDoesNotMatch": Outcome.VENDOR_DOWN,
    "UnrecognizedClientException": Outcome.VENDOR_DOWN,
    "RequestTimeout": Outcome.RETRYABLE,  # the request did not arrive whole
    "Throttled": Outcome.THROTTLED,
    "Throttling": Outcome.THROTTLED,
    "ThrottlingException": Outcome.THROTTLED,
    "TooManyRequestsException": Outcome.THROTTLED,
    "401": Outcome.VENDOR_DOWN,
    "403": Outcome.VENDOR_DOWN,
    "404": Outcome.VENDOR_DOWN,  # a resource of ours is missing, or this is not AWS
    "429": Outcome.THROTTLED,
    "4xx": Outcome.REJECTED,
    "503": Outcome.RETRYABLE,  # ServiceUnavailable: a temporary failure
    "5xx": Outcome.IN_DOUBT,  # 500 InternalFailure: an unknown error; 502, 504: a gateway gave up
    "3xx": Outcome.VENDOR_DOWN,  # not AWS: the URL is wrong
}


class AwsSettings(Section):
    """Where an AWS service is and who we are. Without keys AWS's usual chain decides (environment, role, profile)."""

    url: BaseUrl | None = None
    region: str
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None


class Aws:
    """One AWS service. Made anywhere; opened by its first call, in the loop that runs then."""

    def __init__(self, service: str, settings: AwsSettings, errors: ErrorMap) -> None:
        if (settings.access_key_id is None) != (settings.secret_access_key is None):
            prefix = settings.model_config.get("env_prefix", "")
            raise SettingsError(f"{prefix}SECRET_ACCESS_KEY: this and {prefix}ACCESS_KEY_ID belong together")
        self._service = service
        self._settings = settings
        self._errors = errors
        self._opening = asyncio.Lock()
        self._context: Any = None
        self._client: Any = None

    async def call(
        self, operation: str, parameters: Mapping[str, Any], timeout: float, headers: Mapping[str, str]
    ) -> Mapping[str, Any] | Answer:
        """One operation within `timeout` seconds: what it returned, or the Answer its failure means."""
        departure = _Departure(headers)
        _departure.set(departure)
        try:
            async with asyncio.timeout(timeout):
                client = self._client or await self._open()
                return await getattr(client, operation)(**parameters)
        except ClientError as error:
            return self._refused(error)
        except ParamValidationError:
            return Answer(Outcome.REJECTED, reason="parameters")
        except (BotoCoreError, ResponseParserError, TimeoutError, OSError) as error:
            # No keys, no profile, no connection: whatever it was, nothing left us.
            left = departure.gone and not _is_connecting(error)
            return in_doubt(type(error).__name__) if left else vendor_down(type(error).__name__)

    async def check(self, operation: str, variable: str) -> None:
        """Call an operation that only reads. Raises SettingsError, naming `variable`, if it fails."""
        answer = await self.call(operation, {}, 10, {})
        if isinstance(answer, Answer):
            raise SettingsError(f"{variable}: asked whether it is right, AWS answers: {answer.reason}")

    async def close(self) -> None:
        """Close the client and its connections."""
        context, self._context, self._client = self._context, None, None
        if context is not None:
            await context.__aexit__(None, None, None)

    async def _open(self) -> Any:
        async with self._opening:
            if self._client is None:
                secret = self._settings.secret_access_key
                context = get_session().create_client(
                    self._service,
                    region_name=self._settings.region,
                    endpoint_url=self._settings.url,
                    aws_access_key_id=self._settings.access_key_id,
                    aws_secret_access_key=secret.get_secret_value() if secret else None,
                    config=AioConfig(
                        retries={"total_max_attempts": 1},
                        connect_timeout=CONNECT_TIMEOUT,
                        max_pool_connections=CONNECTIONS,
                    ),
                )
                client = await context.__aenter__()
                client.meta.events.register("before-send", _depart)
                self._context, self._client = context, client
        return self._client

    def _refused(self, error: ClientError) -> Answer:
        response: Mapping[str, Any] = error.response
        meta = response.get("ResponseMetadata", {})
        vendors = code(response.get("Error", {}).get("Code")) or None
        return refused(self._errors, meta.get("HTTPStatusCode", 0), vendors, _pause(meta.get("HTTPHeaders", {})))


def _is_connecting(error: BaseException) -> bool:
    """Is this about getting a connection? (aiobotocore has one name for a refused and a broken one.)"""
    cause = getattr(error, "kwargs", {}).get("error")
    return isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def _depart(request: Any, **_: Any) -> None:
    """Runs when the request is signed and about to go: a proxy on the way may change these headers."""
    departure = _departure.get()
    departure.gone = True
    for name, value in departure.headers.items():
        request.headers[name] = value


def _pause(headers: Mapping[str, str]) -> float | None:
    return retry_after({name.title(): value for name, value in headers.items()})
