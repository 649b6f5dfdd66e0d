"""The receipts of any other vendor: `POST /webhook/callback`, signed by Standard Webhooks."""

from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from domain.ids import DeliveryId
from domain.receipts import Receipt, Report
from providers.base import Call, Forged, Malformed
from providers.reading import code, json_of, rfc3339
from settings import Section, SettingsError

_NAME = "^[a-z][a-z0-9_-]{0,49}$"  # in this dialect (Rust's) `$` is the very end
_REPORTS = {"delivered": Report.DELIVERED, "undelivered": Report.UNDELIVERED, "failed": Report.UNDELIVERED}


class CallbackSettings(Section):
    """The secret shared with those who call back."""

    model_config = SettingsConfigDict(env_prefix="CLARION_")

    callback_secret: SecretStr | None = Field(None, description="whsec_…; unset: no callback is believed")


class _Event(BaseModel):
    """One report, as `CallbackIn` of `api/raw_routes.py` describes it."""

    delivery_id: str | None = None
    notification_id: UUID | None = None
    channel: str | None = Field(None, pattern=_NAME)
    status: str
    event_id: str = Field(pattern=r"^[\x21-\x7e]{1,200}$")
    occurred_at: str | None = None
    reason: str | None = None
    provider: str | None = Field(None, pattern=_NAME)

    @model_validator(mode="after")
    def _names_one(self) -> "_Event":
        pair = (self.notification_id is not None, self.channel is not None)
        if (self.delivery_id is not None, *pair) not in {(True, False, False), (False, True, True)}:
            raise ValueError("either delivery_id, or notification_id and channel")
        return self


class CallbackReader:
    """Reads callbacks signed with our secret. Raises SettingsError for a secret that is none."""

    def __init__(self) -> None:
        secret = CallbackSettings.load().callback_secret
        try:
            self._webhook = Webhook(secret.get_secret_value()) if secret else None
        except (ValueError, EmptyWebhookSecretError):
            raise SettingsError("CLARION_CALLBACK_SECRET: must be whsec_ and base64") from None

    def read(self, call: Call) -> list[Receipt]:
        """The receipts in the call. Raises Forged (also for one older than 5 minutes), Malformed."""
        self._verify(call)
        body = json_of(call.body)
        events: list[Any] = body if isinstance(body, list) else [body]
        return [_receipt(event) for event in events]

    def _verify(self, call: Call) -> None:
        if self._webhook is None:
            raise Forged("CLARION_CALLBACK_SECRET is not set")
        try:
            self._webhook.verify(call.body, dict(call.headers), json_parse=False)
        except Exception:  # the library lets several errors of its parsers through
            raise Forged("the signature does not hold, or is older than 5 minutes") from None


@cache
def _reader() -> CallbackReader:
    return CallbackReader()


def read_callback(call: Call) -> list[Receipt]:
    """The receipts in the call, by the secret of the settings at the first call. Raises Forged, Malformed."""
    return _reader().read(call)


def _receipt(value: Any) -> Receipt:
    try:
        event = _Event.model_validate(value)
        delivery = DeliveryId.parse(event.delivery_id) if event.delivery_id is not None else None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "an event"
        raise Malformed(f"{place}: {first['msg']}") from None
    except ValueError:
        raise Malformed("delivery_id: not a delivery id") from None
    report = _REPORTS.get(event.status.lower())
    if report is None:
        raise Malformed(f"status: one of {', '.join(_REPORTS)}")
    return Receipt(
        provider=event.provider or "callback",
        # In the name of a vendor, yet never in the way of an event id of its own.
        event_id=f"callback:{event.event_id}" if event.provider else event.event_id,
        report=report,
        occurred_at=rfc3339(event.occurred_at, "occurred_at") if event.occurred_at else datetime.now(UTC),
        delivery=delivery,
        reason=code(event.reason) or None,
        notification=event.notification_id,
        channel=event.channel,
    )
