"""Amazon SNS: one Publish to a phone number for each SMS. Its delivery reports go to CloudWatch, not to us."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic_settings import SettingsConfigDict

from domain.messages import Card, Message
from domain.outcomes import Answer, accepted, in_doubt
from domain.priorities import Priority
from providers.aws import COMMON_ERRORS, Aws
from providers.aws_service import AwsSettings
from providers.base import Provider
from providers.errors import ErrorMap


class SnsSettings(AwsSettings):
    """Which region sends, and who we are there."""

    model_config = SettingsConfigDict(env_prefix="CLARION_SNS_")


class Sns(Provider):
    """SMS by Amazon SNS."""

    card = Card("sns", "sms", receipts=False, echoes_key=False)
    settings: ClassVar = (SnsSettings,)

    # SNS API reference, Publish, "errors": AuthorizationError, InvalidSecurity (403), InvalidParameter,
    # ParameterValueInvalid, ValidationException (400), InternalError (500). Their statuses say enough.
    errors: ClassVar[ErrorMap] = COMMON_ERRORS

    def __init__(self) -> None:
        self._aws = Aws("sns", SnsSettings.load(), self.errors)

    async def send(self, messages: Sequence[Message], timeout: float) -> Sequence[Answer]:
        """One Publish; the key goes along as an attribute that the CloudWatch log shows."""
        (message,) = messages
        result = await self._aws.call("publish", _publish(message), timeout, message.headers)
        if isinstance(result, Answer):
            return [result]
        return [accepted(result["MessageId"]) if "MessageId" in result else in_doubt("unreadable")]

    async def check(self) -> str:
        """Reads the account's SMS attributes."""
        await self._aws.check("get_sms_attributes", "CLARION_SNS_ACCESS_KEY_ID")
        return "SNS knows our keys"

    async def close(self) -> None:
        """Close the connections."""
        await self._aws.close()


def _publish(message: Message) -> Mapping[str, Any]:
    attributes = {
        "clarion.key": str(message.key),
        # Developer guide, "SMS type": Transactional is the more reliable and the dearer way.
        "AWS.SNS.SMS.SMSType": "Promotional" if message.priority is Priority.LOW else "Transactional",
    }
    sender = message.sender.phone
    if sender:
        attributes["AWS.MM.SMS.OriginationNumber" if sender.startswith("+") else "AWS.SNS.SMS.SenderID"] = sender
    return {
        "PhoneNumber": message.address,
        "Message": message.content.text,
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    }
