"""Settings from the environment: all problems reported at once, and never the value of a secret."""

from typing import Annotated, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, Field, FilePath, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as UnreadableVariable

from services.runtime.tls import CertificatesUnusable, TlsFiles

SHARED_PREFIX = "DOSSIER_"


class SettingsError(Exception):
    """What is wrong with the environment, one line per variable."""


def settings_config(service: str) -> SettingsConfigDict:
    """Name the environment variables of a service: `DOSSIER_<SERVICE>_<FIELD>`, else `DOSSIER_<FIELD>`."""
    return SettingsConfigDict(
        env_prefix=f"{SHARED_PREFIX}{service.upper()}_", frozen=True, extra="ignore", env_ignore_empty=True
    )


class EnvironmentSettings(BaseSettings):
    """Read from the environment and nowhere else, by the names that `settings_config` gives."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - one source: the environment
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        shared = EnvSettingsSource(settings_cls, env_prefix=SHARED_PREFIX)
        return (init_settings, env_settings, shared)


class TlsSettings(BaseModel):
    """Mixed into the settings of who calls services or is one: all three make mutual TLS, none does not."""

    tls_cert_file: FilePath | None = None
    """This process's certificate, in PEM, followed by those between it and the CA; read again, with the other
    two, when it is renewed."""
    tls_key_file: FilePath | None = None
    """The private key of the certificate, in PEM."""
    tls_ca_file: FilePath | None = None
    """The CA, in PEM, by whose certificates the other side is believed; one that signs for this mesh only."""

    @property
    def tls(self) -> TlsFiles | None:
        match self.tls_cert_file, self.tls_key_file, self.tls_ca_file:
            case (None, _, _) | (_, None, _) | (_, _, None):
                return None
            case cert, key, ca:
                return TlsFiles(cert, key, ca)

    @model_validator(mode="after")
    def _is_whole_and_usable(self) -> Self:
        given = {name for name in TlsSettings.model_fields if getattr(self, name) is not None}
        missing = [name for name in TlsSettings.model_fields if name not in given]
        if given and missing:
            variables = ", ".join(_variable(type(self), (name,)) for name in missing)
            raise ValueError(f"{variables}: is required where the other settings of TLS are given")
        if self.tls is not None:
            try:
                self.tls.watched()
            except (OSError, CertificatesUnusable) as problem:
                raise ValueError(f"{_variable(type(self), ('tls_cert_file',))}: {problem}") from None
        return self


class ServiceSettings(EnvironmentSettings, TlsSettings):
    """What every service needs; a service adds its own fields and `model_config = settings_config(name)`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    grpc_host: str = "127.0.0.1"
    """Where to listen, for gRPC and for metrics; loopback unless told otherwise."""
    grpc_port: int = Field(ge=0, le=65535)
    """0 takes a free port, which is for tests."""
    metrics_port: int = Field(ge=0, le=65535)
    """Metrics and readiness over HTTP."""
    drain_seconds: float = Field(default=10, ge=0)
    """How long calls in flight may go on after SIGTERM."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto` is readable on a terminal and JSON elsewhere."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    token_jwks_file: FilePath
    """The public keys (JWKS) that verify service tokens; read again when the file changes."""
    token_signing_key_file: FilePath | None = None
    """The private key (JWK) that signs tokens; a service that calls others redeclares it as required."""


def _redis_address(url: SecretStr) -> SecretStr:
    """Its scheme is checked here, so that a wrong one stops the start rather than the first request."""
    if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin redis://, rediss:// or unix://")
    return url


class RedisSettings(BaseModel):
    """Mixed into the settings of a process that shares something with others over Redis, or goes without."""

    redis_url: Annotated[SecretStr, AfterValidator(_redis_address)] | None = None
    """`redis://`, `rediss://` or `unix://`. Unset: as if it were away."""
    redis_seconds: float = Field(default=0.5, gt=0, le=5)
    """Longest wait for Redis before it is gone on without."""


class DatabaseSettings(BaseModel):
    """Mixed into the settings of a service that keeps its data in PostgreSQL."""

    database_url: SecretStr
    """As in `postgresql://user:password@host:5432/dossier`."""
    database_pool_max: int = Field(default=8, ge=1)
    """Connections this process may hold."""
    database_statement_cache: int = Field(default=100, ge=0)
    """Prepared statements kept per connection; 0 behind a transaction pooler such as PgBouncer."""


Settings = TypeVar("Settings", bound=BaseSettings)


def load_settings(settings_type: type[Settings]) -> Settings:
    """Read the settings from the environment, or raise a `SettingsError` that lists every problem."""
    try:
        return settings_type.model_validate({})
    except UnreadableVariable as error:
        raise SettingsError(str(error)) from None
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise SettingsError("\n".join(_line(settings_type, problem) for problem in problems)) from None


def _line(settings_type: type[BaseSettings], problem: ErrorDetails) -> str:
    if not problem["loc"]:
        # Of several fields together; the settings' own words name them.
        return problem["msg"].removeprefix("Value error, ")
    return f"{_variable(settings_type, problem['loc'])}: {_reason(settings_type, problem)}"


def _variable(settings_type: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Name the environment variable to set, from the place where validation failed."""
    name = str(location[0])
    field = settings_type.model_fields.get(name)
    if field is None:
        # A field with a vendor's name (OPENAI_API_KEY) is located by that name.
        return name
    own_prefix = str(settings_type.model_config.get("env_prefix", ""))
    return f"{own_prefix}{name.upper()} (or {SHARED_PREFIX}{name.upper()})"


def _reason(settings_type: type[BaseSettings], problem: ErrorDetails) -> str:
    if problem["type"] == "missing":
        return "is required"
    name = str(problem["loc"][0])
    field = settings_type.model_fields.get(name)
    secret = field is None or SecretStr in (field.annotation, *get_args(field.annotation))
    # The text of a validator of one's own may quote what it was given.
    if secret and problem["type"] in {"value_error", "assertion_error"}:
        return "is not valid"
    return problem["msg"]
