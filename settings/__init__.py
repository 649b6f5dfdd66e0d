"""Settings from the environment (`CLARION_…`), from `.env`, and for secrets from files (`CLARION_…_FILE`)."""

import os
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from settings.errors import SettingsError

__all__ = ["Section", "Settings", "SettingsError"]


class _FromFiles(PydanticBaseSettingsSource):
    """`CLARION_X_FILE=/run/secrets/x` stands for `CLARION_X=<content of that file>`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = f"{self.config.get('env_prefix', '')}{field_name}".upper() + "_FILE"
        path = os.environ.get(variable)
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text().strip(), field_name, False
        except OSError as error:
            raise SettingsError(f"{variable}: cannot read {path}: {error.strerror}") from None

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class Section(BaseSettings):
    """A group of settings with a prefix of its own, as a provider has. Subclass with `env_prefix="CLARION_NAME_"`."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """First what is given in code, then the environment, files named by it, and `.env`."""
        return init_settings, env_settings, _FromFiles(settings_cls), dotenv_settings

    @classmethod
    def load(cls) -> Self:
        """Read it now. Raises SettingsError with one line that names the variable."""
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            variable = f"{cls.model_config.get('env_prefix', '')}{first['loc'][0]}".upper()
            raise SettingsError(f"{variable}: {first['msg']}") from None


class Settings(Section):
    """What every process of Clarion needs to know."""

    model_config = SettingsConfigDict(env_prefix="CLARION_")

    database_url: SecretStr | None = Field(None, description="postgresql://… ; unset: embedded")
    redis_url: SecretStr | None = Field(None, description="redis://… ; unset: embedded")
    temporal_address: str | None = Field(None, description="host:port ; unset: embedded")
    temporal_namespace: str = "default"
    temporal_tls: bool = Field(False, description="talk TLS to Temporal; on by itself with any of the five below")
    temporal_ca: Path | None = Field(None, description="PEM file of the CA to believe; unset: those of the system")
    temporal_cert: Path | None = Field(None, description="PEM file of our certificate, for mTLS")
    temporal_key: Path | None = Field(None, description="PEM file of its key")
    temporal_server_name: str | None = Field(None, description="the name in the server's certificate, if another")
    temporal_api_key: SecretStr | None = Field(None, description="for Temporal Cloud; needs TLS")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    public_url: str | None = Field(None, description="where vendors reach us; unset: http(s)://{host}:{port}")
    tls_cert: Path | None = Field(None, description="PEM file: the API answers by TLS with this certificate")
    tls_key: Path | None = Field(None, description="PEM file of its key, unless that is in the same")
    tls_client_ca: Path | None = Field(None, description="PEM file: only callers with a certificate of this CA")
    data_dir: Path = Path(".clarion")
    dev: bool = Field(False, description="loopback calls without a key are tenant `dev`; any recipient id resolves")
    max_batch: int = Field(512, ge=1, le=512, description="deliveries a run may share; 1: a run for each notification")
    lane_bound: int = Field(20_000, ge=1, description="deliveries that may wait in memory; then 503")
    backlog_limit: int = Field(
        100_000, ge=1, description="deliveries a channel may have waiting for their first look; then 503, low first"
    )
    channels: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description='changes to the channels\' policies, as JSON: {"email": {"route": ["ses"], "window": 60}}',
    )
    providers: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description='messages a second a provider may be given, as JSON: {"twilio": {"rate": 80, "burst": 100}}',
    )
    limits: dict[str, Any] = Field(
        default_factory=dict,
        description='what a tenant may send if nothing else is said of it, as JSON: {"requests_per_second": 50}',
    )
    fairness: bool = Field(True, description="tenants take turns; false: first come, first served")
    redrive: int = Field(
        0, ge=0, description="dead letters queued again whenever their last provider's breaker closes, at most; 0: none"
    )
    secret_key: SecretStr = Field(
        SecretStr(""), description="keys the hashes kept of idempotent requests and addresses"
    )
    encryption_keys: SecretStr | None = Field(
        None, description="ID:BASE64 of 32 bytes, the newest first, with commas; `clarion secrets new` prints one"
    )
    log_level: str = "info"
    log_format: str = Field("auto", pattern="^(auto|json|text)$")

    @property
    def secret(self) -> bytes:
        """The secret key, for HMACs."""
        return self.secret_key.get_secret_value().encode()

    @property
    def reachable_at(self) -> str:
        """The base URL vendors call, without a slash at its end."""
        return (self.public_url or self.listens_at).rstrip("/")

    @property
    def listens_at(self) -> str:
        """The API's own base URL."""
        return f"http{'s' if self.tls_cert else ''}://{self.host}:{self.port}"

    def required(self, name: str) -> str:
        """A setting this process cannot do without, in clear. Raises SettingsError."""
        value = getattr(self, name)
        if value is None:
            raise SettingsError(
                f"CLARION_{name.upper()} is not set: processes started one by one need it; `clarion dev` embeds all."
            )
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
