"""What `POST /notify` takes: read, checked to the last field, and turned into a submission."""

import hmac
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from domain.addresses import email_address, phone_number
from domain.channels import Channels
from domain.messages import Content
from domain.priorities import Priority
from domain.search import MOST_TAGS, TAG
from domain.submissions import Recipient, Submission

MOST_RECIPIENTS = 1000
MOST_ITEMS = 1000
MOST_METADATA = 4096  # bytes as compact JSON
MOST_BODY = 1024 * 1024  # bytes
_FURTHEST = timedelta(days=366)

_Id = Annotated[str, Field(min_length=1, max_length=255)]
_Key = Annotated[str, Field(min_length=1, max_length=255)]
_Tag = Annotated[str, Field(pattern=TAG, examples=["campaign:spring"])]


class MessageIn(BaseModel):
    """A channel takes the parts it can carry."""

    model_config = ConfigDict(extra="forbid")

    subject: Annotated[str, Field(max_length=998)] | None = Field(None, description="email")
    text: str | None = None
    html: str | None = Field(None, description="email")
    title: Annotated[str, Field(max_length=1000)] | None = Field(None, description="push")
    data: dict[str, Any] | None = Field(None, description="push payload")


class NotifyIn(BaseModel):
    """A notification: what to say, to whom, by which channels."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={
            "example": {"channels": ["email", "sms"], "recipient_ids": ["user123"], "message": "Hello Polyglot World!"}
        },
    )

    channels: Annotated[list[str], Field(min_length=1, max_length=100)]
    recipient_ids: list[_Id] = Field(
        default_factory=list,
        validation_alias="recipient_ids",
        description="from the address book, or an email address or E.164 number",
    )
    recipientIds: list[_Id] = Field(default_factory=list, description="the same as `recipient_ids`")
    recipients: list[dict[str, str | None]] = Field(
        default_factory=list, description="id, email, phone, push_token, locale, timezone"
    )
    message: Annotated[str, Field(min_length=1)] | MessageIn
    priority: Priority = Priority.NORMAL
    metadata: dict[str, Any] | None = Field(None, description="at most 4 kB; shown in status and lists")
    tags: Annotated[list[_Tag], Field(max_length=MOST_TAGS)] = Field(
        default_factory=list, description="to find it by, kept in plain text: no personal data"
    )
    send_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None


class ItemIn(NotifyIn):
    """One item of `POST /notify/batch`."""

    idempotency_key: _Key | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request. `pointer` is a JSON pointer (RFC 6901) into its body."""

    pointer: str
    detail: str


class Invalid(Exception):
    """The request cannot be taken: 422 with every fault found."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(faults[0].detail)
        self.faults = faults


_NOTIFY = TypeAdapter(NotifyIn)
_ITEM = TypeAdapter(ItemIn)
_PLAIN_FIELDS = frozenset({"id", "locale", "timezone"})


class Reader:
    """Reads requests of an installation with these channels."""

    def __init__(self, channels: Channels, secret: bytes) -> None:
        """`secret` keys the fingerprints of bodies, which low-entropy bodies would otherwise give away."""
        self._channels, self._secret = channels, secret
        self._addresses = {channel.address: channel.parse_address for channel in channels.values()}

    def one(self, body: bytes, tenant: str, *, key: str | None, traceparent: str | None) -> Submission:
        """The submission in a body of `POST /notify`. Raises Invalid."""
        _refuse_nul(body)
        wanted = _validated(_NOTIFY, body)
        fingerprint = self._fingerprint(_parsed(body)) if key else b""
        return self._submission(wanted, tenant, key, fingerprint, traceparent)

    def many(self, body: bytes, tenant: str, *, traceparent: str | None) -> list[Submission | Invalid]:
        """The submissions in a body of `POST /notify/batch`, each by itself. Raises Invalid for no list."""
        _refuse_nul(body)
        items = _parsed(body)
        if not isinstance(items, list) or not 1 <= len(items) <= MOST_ITEMS:
            raise Invalid(Fault("", f"The body must be a list of 1 to {MOST_ITEMS} notifications."))
        return [self._item(item, tenant, traceparent) for item in items]

    def _item(self, item: object, tenant: str, traceparent: str | None) -> Submission | Invalid:
        try:
            raw = orjson.dumps(item)
            wanted = _validated(_ITEM, raw)
            key = wanted.idempotency_key
            return self._submission(wanted, tenant, key, self._fingerprint(item) if key else b"", traceparent)
        except Invalid as invalid:
            return invalid

    def _submission(
        self, wanted: NotifyIn, tenant: str, key: str | None, fingerprint: bytes, traceparent: str | None
    ) -> Submission:
        channels = self._known(wanted.channels)
        recipients = self._recipients(wanted)
        _check_times(wanted)
        if wanted.metadata is not None and _size(wanted.metadata, "/metadata") > MOST_METADATA:
            raise Invalid(Fault("/metadata", f"At most {MOST_METADATA} bytes as JSON."))
        if isinstance(wanted.message, MessageIn) and wanted.message.data is not None:
            _size(wanted.message.data, "/message/data")
        return Submission(
            tenant=tenant,
            channels=channels,
            recipients=recipients,
            content=_content(wanted.message),
            priority=wanted.priority,
            metadata=wanted.metadata,
            tags=tuple(dict.fromkeys(wanted.tags)),
            send_at=wanted.send_at,
            expires_at=wanted.expires_at,
            idempotency_key=key,
            fingerprint=fingerprint,
            traceparent=traceparent,
        )

    def _known(self, channels: Sequence[str]) -> tuple[str, ...]:
        for place, name in enumerate(channels):
            if name not in self._channels:
                known = ", ".join(self._channels)
                raise Invalid(Fault(f"/channels/{place}", f"No channel of this name; there are {known}."))
        return tuple(dict.fromkeys(channels))

    def _recipients(self, wanted: NotifyIn) -> tuple[Recipient, ...]:
        ids = [*wanted.recipient_ids, *wanted.recipientIds]
        if not 1 <= len(ids) + len(wanted.recipients) <= MOST_RECIPIENTS:
            detail = f"Name 1 to {MOST_RECIPIENTS} recipients by recipient_ids and recipients together."
            raise Invalid(Fault("/recipient_ids", detail))
        inline = [self._inline(place, fields) for place, fields in enumerate(wanted.recipients)]
        found: dict[str, Recipient] = {}
        for recipient in (*inline, *map(_by_id, ids)):
            found.setdefault(recipient.id, recipient)
        return tuple(found.values())

    def _inline(self, place: int, fields: Mapping[str, str | None]) -> Recipient:
        pointer = f"/recipients/{place}"
        given = {name: value for name, value in fields.items() if value is not None}
        unknown = given.keys() - self._addresses.keys() - _PLAIN_FIELDS
        if unknown:
            raise Invalid(Fault(f"{pointer}/{_escaped(min(unknown))}", "No such field."))
        addresses: dict[str, str] = {}
        for name, parse in self._addresses.items():
            if name in given:
                try:
                    addresses[name] = parse(given[name])
                except ValueError as error:
                    raise Invalid(Fault(f"{pointer}/{name}", str(error))) from None
        identity = given.get("id") or next(iter(addresses.values()), None)
        if not identity:
            raise Invalid(Fault(pointer, f"Needs an id or one of {', '.join(self._addresses)}."))
        if len(identity) > 255:
            raise Invalid(Fault(f"{pointer}/id", "At most 255 characters."))
        return Recipient(identity, addresses, known=bool(addresses))

    def _fingerprint(self, body: object) -> bytes:
        return hmac.digest(self._secret, orjson.dumps(body, option=orjson.OPT_SORT_KEYS), "sha256")


def _by_id(identity: str) -> Recipient:
    """An id that is itself an address is taken as one."""
    try:
        if "@" in identity:
            return Recipient(identity, {"email": email_address(identity)}, known=True)
        if identity.startswith("+"):
            return Recipient(identity, {"phone": phone_number(identity)}, known=True)
    except ValueError:
        pass
    return Recipient(identity)


def _validated(adapter: TypeAdapter[Any], body: bytes) -> Any:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        faults = [_fault(each) for each in error.errors(include_url=False, include_input=False, include_context=False)]
        raise Invalid(*faults) from None


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(Fault("", f"The body is not valid JSON: {error.msg}.")) from None


def _fault(error: Mapping[str, Any]) -> Fault:
    # A union names the alternative it tried (`str`, `MessageIn`): that is no part of the body.
    parts = [part for part in error["loc"] if part not in ("MessageIn", "constrained-str")]
    return Fault("".join(f"/{_escaped(str(part))}" for part in parts), f"{error['msg']}.")


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _content(message: str | MessageIn) -> Content:
    if isinstance(message, str):
        return Content(text=message)
    if not (message.text or message.html or message.title):
        raise Invalid(Fault("/message", "Needs a text, an html or a title."))
    return Content(message.text or "", message.subject, message.html, message.title, message.data or {})


def _size(value: dict[str, Any], pointer: str) -> int:
    """Bytes as compact JSON. Raises Invalid for numbers JSON cannot carry from one system to the next."""
    if not _finite(value):
        raise Invalid(Fault(pointer, "Numbers must be finite."))
    try:
        return len(orjson.dumps(value))
    except TypeError:
        raise Invalid(Fault(pointer, "Whole numbers must fit into 64 bits.")) from None


def _finite(value: Any) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(_finite(each) for each in value.values())
        case list():
            return all(_finite(each) for each in value)
        case _:
            return True


def _check_times(wanted: NotifyIn) -> None:
    now = datetime.now(UTC)
    if wanted.send_at and wanted.send_at > now + _FURTHEST:
        raise Invalid(Fault("/send_at", "At most 366 days from now."))
    if wanted.expires_at and wanted.expires_at <= max(now, wanted.send_at or now):
        raise Invalid(Fault("/expires_at", "Must lie in the future and after send_at."))


def _refuse_nul(body: bytes) -> None:
    """PostgreSQL stores no NUL. Lone surrogates are refused by the JSON parser itself."""
    if b"\\u0000" not in body:
        return
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return  # the validator says what is wrong
    for pointer, text in _strings(parsed, ""):
        if "\x00" in text:
            raise Invalid(Fault(pointer, "Text must not hold NUL characters."))


def _strings(value: Any, pointer: str) -> Iterable[tuple[str, str]]:
    match value:
        case str():
            yield pointer, value
        case dict():
            for key, each in value.items():
                yield f"{pointer}/{_escaped(key)}", key
                yield from _strings(each, f"{pointer}/{_escaped(key)}")
        case list():
            for place, each in enumerate(value):
                yield from _strings(each, f"{pointer}/{place}")
        case _:
            return
