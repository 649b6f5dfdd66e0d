"""SES v2: send email, and its events through SNS.

Formats: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html and
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

import uuid
from typing import Any

import orjson

from sandbox import ids
from sandbox.control import Answer, Receipt, SesControl
from sandbox.messages import Message
from sandbox.shared import Shared
from sandbox.vendors import aws
from sandbox.vendors.base import Refused, Turn
from sandbox.vendors.reporting import Event, ReportingVendor
from sandbox.vendors.ses_events import event
from sandbox.vendors.ses_mail import BadRequest, read_mail
from sandbox.vendors.topic import Terms, Topic
from sandbox.web import JSON, Call, Reply, reply

_USUAL = {
    400: ("BadRequestException", "The input you provided is invalid."),
    403: ("AccessDeniedException", "User is not authorized to perform: ses:SendEmail"),
    404: ("NotFoundException", "The resource you attempted to access doesn't exist."),
    429: ("TooManyRequestsException", "Maximum sending rate exceeded."),
    500: ("InternalServiceErrorException", "Internal failure"),
    503: ("ServiceUnavailableException", "Service Unavailable"),
}
_NAMES = {  # SES's REST interface has its own names for what the signature check finds
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
}
_ACCOUNT = {
    "DedicatedIpAutoWarmupEnabled": False,
    "EnforcementStatus": "HEALTHY",
    "ProductionAccessEnabled": True,
    "SendQuota": {"Max24HourSend": 50_000_000.0, "MaxSendRate": 10_000.0, "SentLast24Hours": 0.0},
    "SendingEnabled": True,
}


def _error(status: int, code: str, message: str, retry_after: float | None = None) -> Reply:
    headers = (*JSON, (b"x-amzn-errortype", code.encode()), (b"x-amzn-requestid", str(uuid.uuid4()).encode()))
    if retry_after is not None:
        headers = (*headers, (b"retry-after", str(round(retry_after)).encode()))
    return reply(status, {"message": message}, headers)


class Ses(ReportingVendor):
    """Email."""

    name = "ses"
    control_type = SesControl

    def __init__(self, shared: Shared, topic: Topic) -> None:
        super().__init__(shared)
        self._topic = topic
        self._base = ""  # where we were last called: links to us must start like this

    def refusal(self, answer: Answer) -> Reply:
        """See Vendor."""
        code, message = _USUAL.get(answer.status, ("BadRequestException", "Error"))
        return _error(answer.status, str(answer.code or code), message, answer.retry_after)

    async def route(self, call: Call) -> Turn[Reply]:
        """Send an email, or say how the account is."""
        given = self.shared.credentials
        try:
            aws.check(call, given.aws_access_key_id, given.aws_secret_access_key, "ses")
        except aws.BadSignature as bad:
            raise Refused(_error(403, _NAMES[bad.code], str(bad))) from None
        match call.method, call.path:
            case "POST", "/v2/email/outbound-emails":
                return await self._send(call)
            case "GET", "/v2/email/account":
                return Turn(reply(200, _ACCOUNT))
        raise Refused(_error(404, "UnknownOperationException", "The requested operation is not known."))

    async def _send(self, call: Call) -> Turn[Reply]:
        message_id = f"0100{ids.hexadecimal(6)}-{uuid.uuid4()}-000000"
        try:
            messages = read_mail(call.json(), message_id, call.header(b"traceparent"))
        except BadRequest as bad:
            raise Refused(_error(400, "BadRequestException", str(bad))) from None
        except ValueError:
            raise Refused(_error(400, "SerializationException", "The body is not JSON")) from None
        self._base = call.base
        return await self.take(messages, reply(200, {"MessageId": message_id}))

    def events(self, message: Message, receipt: Receipt, at: float) -> list[dict[str, Any]]:
        """One event: how it ended."""
        usual = {"delivered": "Delivery", "undelivered": "Bounce"}
        return [event(receipt.event or usual[receipt.report], message, at)]

    def post(self, events: list[Event]) -> None:
        """Through the topic."""
        self._topic.publish(_texts(events), self._terms(events[0]))

    async def post_now(self, events: list[Event]) -> None:
        """Through the topic, once its subscription is confirmed."""
        await self._topic.publish_now(_texts(events), self._terms(events[0]))

    def _terms(self, one: Event) -> Terms:
        assert isinstance(self.desk.control, SesControl)
        return Terms(self._base, one.now, self.desk.control.signature_version, one.forged)


def _texts(events: list[Event]) -> list[str]:
    return [orjson.dumps(one.content).decode() for one in events]
