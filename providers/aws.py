"""Calls to AWS services: botocore writes, signs and reads them, our HTTP sends them; what each error means."""

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ParamValidationError

from domain.outcomes import Answer, Outcome, in_doubt, vendor_down
from providers.aws_service import AwsSettings, Service
from providers.errors import ErrorMap, refused, retry_after
from providers.http import Http, Reply
from providers.reading import code
from settings import SettingsError

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


class Aws:
    """One AWS service. Made anywhere; opened by its first call, in the loop that runs then."""

    def __init__(self, service: str, settings: AwsSettings, errors: ErrorMap) -> None:
        if (settings.access_key_id is None) != (settings.secret_access_key is None):
            prefix = settings.model_config.get("env_prefix", "")
            raise SettingsError(f"{prefix}SECRET_ACCESS_KEY: this and {prefix}ACCESS_KEY_ID belong together")
        self._name = service
        self._settings = settings
        self._errors = errors
        self._http = Http()
        self._opening: asyncio.Task[Service] | None = None
        self._service: Service | None = None

    async def call(
        self, operation: str, parameters: Mapping[str, Any], timeout: float, headers: Mapping[str, str]
    ) -> Mapping[str, Any] | Answer:
        """One operation within `timeout` seconds: what it returned, or the Answer its failure means."""
        end = time.monotonic() + timeout
        try:
            async with asyncio.timeout(timeout):
                service = self._service or await self._open()
                keys = await service.keys.current()
        except Exception as error:  # no keys, no profile, nobody to renew them: whatever it was, nothing left us
            return vendor_down(type(error).__name__)
        try:
            request = service.request(operation, parameters, keys)
        except ParamValidationError:
            return Answer(Outcome.REJECTED, reason="parameters")
        # Headers of ours are not signed: a proxy on the way may change them.
        all_headers = {**request.headers, **headers}
        reply = await self._http.call(request.method, request.url, all_headers, _left(end), request.body)
        return reply if isinstance(reply, Answer) else self._read(service, operation, reply)

    async def check(self, operation: str, variable: str) -> None:
        """Call an operation that only reads. Raises SettingsError, naming `variable`, if it fails."""
        answer = await self.call(operation, {}, 10, {})
        if isinstance(answer, Answer):
            raise SettingsError(f"{variable}: asked whether it is right, AWS answers: {answer.reason}")

    async def close(self) -> None:
        """Close every connection."""
        self._opening = self._service = None
        await self._http.close()

    async def _open(self) -> Service:
        # One opening for all who wait, and it goes on when one of them gives up: threads are few.
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(asyncio.to_thread(Service, self._name, self._settings))
        self._service = service = await asyncio.shield(self._opening)
        return service

    def _read(self, service: Service, operation: str, reply: Reply) -> Mapping[str, Any] | Answer:
        try:
            result = service.read(operation, reply)
        except Exception:  # botocore lets several errors through for a text that is not AWS's
            return in_doubt("unreadable")
        if reply.status < 300:
            return result
        vendors = code(result.get("Error", {}).get("Code")) or None
        return refused(self._errors, reply.status, vendors, retry_after(reply.headers))


def _left(end: float) -> float:
    """Seconds until `end`, rounded up to tenths: most calls then have the same number, whose limits Http remembers."""
    return max(0.1, math.ceil((end - time.monotonic()) * 10) / 10)
