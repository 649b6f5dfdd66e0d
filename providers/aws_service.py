"""One AWS service as botocore knows it: where it is, how a call is written and signed, how its answer is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import get_session
from pydantic import SecretStr
from yarl import URL

from providers.aws_keys import Keys
from providers.http import BaseUrl, Reply
from settings import Section

# The calls that botocore makes itself, to get the keys of a role. Its own limits are 60 seconds, five times.
_FOR_KEYS = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})


class AwsSettings(Section):
    """Where an AWS service is and who we are. Without keys AWS's usual chain decides (environment, role, profile)."""

    url: BaseUrl | None = None
    region: str
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One signed call."""

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None


class Service:
    """Blocks while it is made (files are read, and somebody may be asked for keys), so that belongs in a thread.

    Raises what botocore raises when the settings make no sense or there are no keys.
    """

    def __init__(self, name: str, settings: AwsSettings) -> None:
        session = get_session()
        session.set_default_client_config(_FOR_KEYS)
        secret = settings.secret_access_key
        if secret:
            session.set_credentials(settings.access_key_id, secret.get_secret_value())
        client = session.create_client(name, region_name=settings.region, endpoint_url=settings.url)
        client.close()  # it only had to say where it would call
        self.keys = Keys(session.get_credentials())
        self._where = client.meta
        self._model = client.meta.service_model
        self._serializer = create_serializer(self._model.resolved_protocol)
        self._parser = create_parser(self._model.resolved_protocol)

    def request(self, operation: str, parameters: Mapping[str, Any], keys: ReadOnlyCredentials) -> Request:
        """The call of an operation such as `send_email`, signed. Raises ParamValidationError."""
        parts = self._serializer.serialize_to_request(parameters, self._operation(operation))
        prepare_request_dict(parts, self._where.endpoint_url)
        request = create_request_object(parts)
        request.data = request.body  # encodes a form once; otherwise each look at it would
        SigV4Auth(keys, self._model.signing_name, self._where.region_name).add_auth(request)
        return Request(parts["method"], URL(parts["url"], encoded=True), dict(request.headers.items()), request.data)

    def read(self, operation: str, reply: Reply) -> Mapping[str, Any]:
        """What an operation returned, or from status 300 on its `Error`. Raises anything if it is not AWS's answer."""
        answer = {"status_code": reply.status, "headers": reply.headers, "body": reply.body}
        return self._parser.parse(answer, self._operation(operation).output_shape)

    def _operation(self, name: str) -> Any:
        return self._model.operation_model(self._where.method_to_api_mapping[name])
