"""SNS in the AWS query protocol: Publish to a phone number, and the topic's side of a subscription.

Formats: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

import re
import uuid
from xml.sax.saxutils import escape

from sandbox.control import Answer
from sandbox.credentials import TOPIC
from sandbox.messages import Message
from sandbox.shared import Shared
from sandbox.vendors import aws
from sandbox.vendors.base import HttpVendor, Refused, Turn
from sandbox.vendors.topic import Topic
from sandbox.web import Call, Headers, Reply

_XML: Headers = ((b"content-type", b"text/xml"),)
_NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_LONGEST = 1600  # characters of an SMS

_USUAL = {
    400: ("InvalidParameter", "Invalid parameter"),
    403: ("AuthorizationError", "User is not authorized to perform: SNS:Publish"),
    429: ("Throttled", "Rate exceeded"),
    500: ("InternalError", "Request failed due to an unknown error or exception"),
    503: ("ServiceUnavailable", "The request has failed due to a temporary failure of the server"),
}


def _answered(action: str, result: str) -> Reply:
    return _xml(
        200,
        f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{result}</{action}Result>'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{action}Response>",
    )


def _error(status: int, code: str, message: str, retry_after: float | None = None) -> Reply:
    kind = "Sender" if status < 500 else "Receiver"
    answer = _xml(
        status,
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>{kind}</Type><Code>{escape(code)}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>",
    )
    if retry_after is None:
        return answer
    return Reply(status, answer.body, (*_XML, (b"retry-after", str(round(retry_after)).encode())))


def _xml(status: int, body: str) -> Reply:
    return Reply(status, body.encode(), _XML)


class Sns(HttpVendor):
    """SMS without receipts: SNS reports deliveries to CloudWatch only."""

    name = "sns"

    def __init__(self, shared: Shared, topic: Topic) -> None:
        super().__init__(shared)
        self._topic = topic

    def refusal(self, answer: Answer) -> Reply:
        """See Vendor."""
        code, message = _USUAL.get(answer.status, ("InternalError", "Error"))
        return _error(answer.status, str(answer.code or code), message, answer.retry_after)

    async def route(self, call: Call) -> Turn[Reply]:
        """Certificate and confirmation are open to all, as AWS has them; anything else is signed."""
        if call.method == "GET" and call.path == "/cert.pem":
            certificate = self.shared.credentials.sns_certificate.encode()
            return Turn(Reply(200, certificate, ((b"content-type", b"application/x-pem-file"),)))
        if call.method == "GET" and call.parameters().get("Action") == "ConfirmSubscription":
            return Turn(self._confirm(call.parameters().get("Token", "")))
        self._check(call)
        form = call.form()
        match form.get("Action"):
            case "Publish":
                return await self._publish(form, call.header(b"traceparent"))
            case "GetSMSAttributes":
                entry = "<entry><key>DefaultSMSType</key><value>Transactional</value></entry>"
                return Turn(_answered("GetSMSAttributes", f"<attributes>{entry}</attributes>"))
        raise Refused(_error(400, "InvalidAction", "The action or operation requested is invalid"))

    def _check(self, call: Call) -> None:
        given = self.shared.credentials
        try:
            aws.check(call, given.aws_access_key_id, given.aws_secret_access_key, "sns")
        except aws.BadSignature as bad:
            raise Refused(_error(403, bad.code, str(bad))) from None

    def _confirm(self, token: str) -> Reply:
        if not self._topic.confirm(token):
            raise Refused(_error(400, "InvalidParameter", "Invalid parameter: Token"))
        return _answered("ConfirmSubscription", f"<SubscriptionArn>{TOPIC}:{uuid.uuid4()}</SubscriptionArn>")

    async def _publish(self, form: dict[str, str], traceparent: str | None) -> Turn[Reply]:
        number, text = form.get("PhoneNumber", ""), form.get("Message", "")
        if not _NUMBER.fullmatch(number):
            raise Refused(
                _error(400, "InvalidParameter", "Invalid parameter: PhoneNumber Reason: not valid to publish to")
            )
        if not text:
            raise Refused(_error(400, "InvalidParameter", "Invalid parameter: Empty message"))
        if len(text) > _LONGEST:
            raise Refused(_error(400, "InvalidParameter", "Invalid parameter: Message too long"))
        attributes = _attributes(form)
        message = Message(
            id=str(uuid.uuid4()),
            to=number,
            key=attributes.get("clarion.key"),
            text=text,
            sender=attributes.get("AWS.SNS.SMS.SenderID"),
            traceparent=traceparent,
            extra=attributes,
        )
        return await self.take([message], _answered("Publish", f"<MessageId>{message.id}</MessageId>"))


def _attributes(form: dict[str, str]) -> dict[str, str]:
    """`MessageAttributes.entry.N.Name` and its `.Value.StringValue`."""
    prefix = "MessageAttributes.entry."
    names = {
        key.removesuffix(".Name"): value
        for key, value in form.items()
        if key.startswith(prefix) and key.endswith(".Name")
    }
    return {name: form.get(f"{entry}.Value.StringValue", "") for entry, name in names.items()}
