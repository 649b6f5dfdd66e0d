"""The sandbox's accounts: keys and secrets made on first use, kept in a file only its owner can read."""

import base64
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from sandbox import keys

REGION = "us-east-1"
ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:clarion-ses-events"
FCM_PROJECT = "clarion-sandbox"
TWILIO_NUMBER = "+15005550006"  # Twilio's own magic test number: valid, sends
MAIL_FROM = "clarion@sandbox.example"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One set of accounts. Private keys and the certificate are PEM text."""

    sendgrid_api_key: str
    sendgrid_private_key: str  # ECDSA P-256, signs the event webhook
    twilio_account_sid: str
    twilio_auth_token: str
    aws_access_key_id: str
    aws_secret_access_key: str
    sns_private_key: str  # RSA, signs SNS messages
    sns_certificate: str
    fcm_client_email: str
    fcm_key_id: str
    fcm_private_key: str  # RSA, the service account's
    fcm_token_secret: str
    smtp_username: str
    smtp_password: str
    callback_secret: str  # Standard Webhooks

    def service_account(self, base_url: str) -> dict[str, str]:
        """The JSON a Firebase project's service account comes as; its `token_uri` is the sandbox's."""
        return {
            "type": "service_account",
            "project_id": FCM_PROJECT,
            "private_key_id": self.fcm_key_id,
            "private_key": self.fcm_private_key,
            "client_email": self.fcm_client_email,
            "client_id": "100000000000000000001",
            "token_uri": f"{base_url}/fcm/token",
        }

    def environment(self, base_url: str, smtp_port: int, smtp_host: str = "127.0.0.1") -> dict[str, str]:
        """The CLARION_ variables that point Clarion at the sandbox at `base_url` (no slash at its end)."""
        aws = {"REGION": REGION, "ACCESS_KEY_ID": self.aws_access_key_id}
        aws["SECRET_ACCESS_KEY"] = self.aws_secret_access_key
        return {
            "CLARION_SENDGRID_URL": f"{base_url}/sendgrid",
            "CLARION_SENDGRID_API_KEY": self.sendgrid_api_key,
            "CLARION_SENDGRID_WEBHOOK_KEY": keys.public_der_base64(self.sendgrid_private_key),
            "CLARION_TWILIO_URL": f"{base_url}/twilio",
            "CLARION_TWILIO_ACCOUNT_SID": self.twilio_account_sid,
            "CLARION_TWILIO_AUTH_TOKEN": self.twilio_auth_token,
            "CLARION_TWILIO_FROM": TWILIO_NUMBER,
            "CLARION_SES_URL": f"{base_url}/ses",
            "CLARION_SES_TOPIC_ARN": TOPIC,
            "CLARION_SES_CERT_URL": f"{base_url}/sns/cert.pem",
            "CLARION_SNS_URL": f"{base_url}/sns",
            **{f"CLARION_{service}_{name}": value for service in ("SES", "SNS") for name, value in aws.items()},
            "CLARION_SMTP_HOST": smtp_host,
            "CLARION_SMTP_PORT": str(smtp_port),
            "CLARION_SMTP_USERNAME": self.smtp_username,
            "CLARION_SMTP_PASSWORD": self.smtp_password,
            "CLARION_SMTP_TLS": "none",
            "CLARION_FCM_URL": f"{base_url}/fcm",
            "CLARION_FCM_CREDENTIALS": orjson.dumps(self.service_account(base_url)).decode(),
            "CLARION_CALLBACK_SECRET": self.callback_secret,
            "CLARION_MAIL_FROM": MAIL_FROM,
        }


def load_or_create(data_dir: Path) -> Credentials:
    """Read `{data_dir}/credentials.json`, made on first use (mode 0600); several processes may do so at once."""
    path = data_dir / "credentials.json"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        _keep(path, orjson.dumps(asdict(_create()), option=orjson.OPT_INDENT_2))
    return Credentials(**orjson.loads(path.read_bytes()))


def _keep(path: Path, content: bytes) -> None:
    """Make the file appear at once and whole; whoever comes second takes the first one's."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".credentials-")  # mkstemp makes it 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _create() -> Credentials:
    sns = keys.new_rsa()
    return Credentials(
        sendgrid_api_key=f"SG.{secrets.token_urlsafe(16)}.{secrets.token_urlsafe(32)}",
        sendgrid_private_key=keys.to_pem(keys.new_ec()),
        twilio_account_sid=f"AC{secrets.token_hex(16)}",
        twilio_auth_token=secrets.token_hex(16),
        aws_access_key_id=f"AKIA{secrets.token_hex(8).upper()}",
        aws_secret_access_key=base64.b64encode(secrets.token_bytes(30)).decode(),
        sns_private_key=keys.to_pem(sns),
        sns_certificate=keys.certificate(sns, "sns.amazonaws.com"),
        fcm_client_email=f"clarion@{FCM_PROJECT}.iam.gserviceaccount.com",
        fcm_key_id=secrets.token_hex(20),
        fcm_private_key=keys.to_pem(keys.new_rsa()),
        fcm_token_secret=secrets.token_hex(32),
        smtp_username="clarion",
        smtp_password=secrets.token_urlsafe(18),
        callback_secret=f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}",
    )
