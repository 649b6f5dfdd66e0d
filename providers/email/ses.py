"""Amazon SES v2: one SendEmail for each mail; its events come back through an SNS topic."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from email.utils import formataddr
from typing import Any, ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from yarl import URL

from domain.messages import Card, Message
from domain.outcomes import Answer, Outcome, accepted, in_doubt
from domain.receipts import Receipt
from providers.aws import COMMON_ERRORS, Aws
from providers.aws_service import AwsSettings
from providers.base import Call, Forged, Provider
from providers.email.mail import MailSettings, from_address, name_and_address, subject_of
from providers.email.ses_events import KEY_TAG, read_event, tag_of
from providers.errors import ErrorMap
from providers.guard import PublicOnly
from providers.http import Http
from providers.sns_topic import Topic


class SesSettings(AwsSettings):
    """Which region sends, who we are there, and whose events to believe."""

    model_config = SettingsConfigDict(env_prefix="CLARION_SES_")

    configuration_set: str | None = Field(None, description="the one that publishes events to the topic")
    topic_arn: str | None = Field(None, description="the topic the events come from; unset: no event is believed")
    cert_url: str | None = Field(None, description="one more signing certificate to trust, besides Amazon's own")
    private_sns: bool = Field(False, description="SNS may have a private address, as a VPC endpoint gives it one")
    max_age: float = Field(
        timedelta(hours=1).total_seconds(), ge=3600, description="seconds; SNS repeats with the first timestamp"
    )


class Ses(Provider):
    """Email by Amazon SES."""

    card = Card("ses", "email")
    settings: ClassVar = (SesSettings, MailSettings)

    # SES v2 API reference, SendEmail, "errors"; the rest is common to AWS.
    errors: ClassVar[ErrorMap] = {
        **COMMON_ERRORS,
        "AccountSuspendedException": Outcome.VENDOR_DOWN,
        "LimitExceededException": Outcome.THROTTLED,  # the sending quota
        "MailFromDomainNotVerifiedException": Outcome.RETRYABLE,  # a tenant's sender; another vendor may know it
        "MessageRejected": Outcome.REJECTED,
        "NotFoundException": Outcome.VENDOR_DOWN,  # our configuration set does not exist
        "SendingPausedException": Outcome.VENDOR_DOWN,
    }

    def __init__(self) -> None:
        self._settings = settings = SesSettings.load()
        self._mail = MailSettings.load()
        self._aws = Aws("sesv2", settings, self.errors)
        trusted = {URL(settings.cert_url).host or ""} if settings.cert_url else set[str]()
        self._http = Http(None if settings.private_sns else PublicOnly(trusted))  # its URLs come with the calls
        topic = settings.topic_arn
        self._topic = Topic(topic, settings.max_age, settings.cert_url, self._http) if topic else None

    async def send(self, messages: Sequence[Message], timeout: float) -> Sequence[Answer]:
        """One SendEmail; the key goes along as a tag, which every event repeats."""
        (message,) = messages
        result = await self._aws.call("send_email", self._email(message), timeout, message.headers)
        if isinstance(result, Answer):
            return [result]
        return [accepted(result["MessageId"]) if "MessageId" in result else in_doubt("unreadable")]

    async def receipts(self, call: Call) -> Sequence[Receipt]:
        """Notifications of the topic; a subscription to it is confirmed by the way."""
        if self._topic is None:
            raise Forged("CLARION_SES_TOPIC_ARN is not set")
        notification = await self._topic.notification(call)
        receipt = read_event(self.card.name, notification) if notification else None
        return [receipt] if receipt else []

    async def check(self) -> str:
        """Reads the account's sending limits."""
        await self._aws.check("get_account", "CLARION_SES_ACCESS_KEY_ID")
        return "SES knows our keys"

    async def close(self) -> None:
        """Close the connections."""
        await self._aws.close()
        await self._http.close()

    def _email(self, message: Message) -> Mapping[str, Any]:
        content = message.content
        parts = {"Text": content.text, "Html": content.html}
        email: dict[str, Any] = {
            # An e-mail header: a name that is not ASCII must be encoded (RFC 2047).
            "FromEmailAddress": formataddr(name_and_address(from_address(message, self._mail))),
            "Destination": {"ToAddresses": [message.address]},
            "Content": {
                "Simple": {
                    "Subject": _utf8(subject_of(content)),
                    "Body": {name: _utf8(text) for name, text in parts.items() if text},
                }
            },
            "EmailTags": [{"Name": KEY_TAG, "Value": tag_of(message.key)}],
        }
        if message.sender.reply_to:
            email["ReplyToAddresses"] = [formataddr(name_and_address(message.sender.reply_to))]
        if self._settings.configuration_set:
            email["ConfigurationSetName"] = self._settings.configuration_set
        return email


def _utf8(text: str) -> Mapping[str, str]:
    return {"Data": text, "Charset": "UTF-8"}
