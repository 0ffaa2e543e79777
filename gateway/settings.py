"""What the gateway reads from the environment."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, FilePath, HttpUrl
from pydantic_settings import NoDecode

from gateway.oidc.settings import OidcSettings, listed
from services.runtime.settings import EnvironmentSettings, RedisSettings, TlsSettings, settings_config

# gRPC refuses messages over 4 MiB, and a ticket has to fit into one.
_MESSAGE_BYTES: Final = 3 * 1024 * 1024


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(listed)]


class GatewaySettings(EnvironmentSettings, RedisSettings, TlsSettings, OidcSettings):
    """Names are `DOSSIER_GATEWAY_<FIELD>`, else `DOSSIER_<FIELD>`.

    In Redis gateways share what the limits below count; without it each counts alone.
    """

    model_config = settings_config("gateway")

    http_host: str = "127.0.0.1"
    """Where to listen, for the API and for metrics; loopback unless told otherwise."""
    http_port: int = Field(default=8080, ge=0, le=65535)
    """0 takes a free port, which is for tests."""
    reuse_port: bool = False
    """Let other gateways of this machine share the port: the system spreads connections over them."""
    metrics_port: int = Field(default=9080, ge=0, le=65535)
    """Metrics and readiness over HTTP."""
    public_url: HttpUrl | None = None
    """What addresses in answers begin with; without it they are relative."""
    body_limit_bytes: int = Field(default=1024 * 1024, ge=1024, le=_MESSAGE_BYTES)
    """Bodies over it get 413."""
    body_seconds: float = Field(default=30, gt=0)
    """Bodies that take longer to come get 408; imports have limits of their own."""
    request_seconds: float = Field(default=30, gt=0)
    """How long a call of the REST API may take."""
    drain_seconds: float = Field(default=10, ge=0)
    """How long requests in flight may go on after SIGTERM."""
    access_log: bool = True
    """A line for every request; failures of ours are logged in any case."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto` is readable on a terminal and JSON elsewhere."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    import_line_bytes: int = Field(default=_MESSAGE_BYTES, ge=1024, le=_MESSAGE_BYTES)
    """Rows of an import over it are refused."""
    import_body_bytes: int = Field(default=1024 * 1024 * 1024, ge=1024)
    """Imports over it, unpacked, get 413."""
    import_stall_seconds: float = Field(default=60, gt=0)
    """How long an import may go on without a line, or without its service taking one."""
    import_seconds: float = Field(default=3600, gt=0)
    """How long an import may take, waiting for its limit included."""

    token_jwks_file: FilePath
    """The public keys (JWKS) that verify service tokens presented to the REST API."""
    token_signing_key_file: FilePath
    """The private key (JWK) that signs the tokens of calls to the services."""

    orchestrator_target: str = "localhost:50051"
    history_target: str = "localhost:50052"
    knowledge_target: str = "localhost:50053"
    network_target: str = "localhost:50054"
    synthesis_target: str = "localhost:50055"
    tenants_target: str = "localhost:50056"

    webhook_aliases: dict[str, str] = Field(default={"servicedesk": "servicedesk_plus"})
    """Senders that cannot put the tenant into the address post to `/webhook/<alias>`: alias → adapter."""
    secret_cache_seconds: float = Field(default=2, ge=0)
    """How long a webhook secret or an API key is believed without asking again, known or unknown."""

    intake_batch_items: int = Field(default=500, ge=1, le=500)
    """The most webhooks handed over in one call."""
    intake_batch_bytes: int = Field(default=_MESSAGE_BYTES, ge=1, le=_MESSAGE_BYTES)
    """The most bytes handed over in one call."""
    intake_batches_in_flight: int = Field(default=2, ge=1)
    """Calls under way at once; what arrives meanwhile forms the next batch."""
    intake_waiting_max: int = Field(default=5000, ge=2)
    """Webhooks that may wait; one client may hold half of that."""
    intake_seconds: float = Field(default=10, gt=0)
    """How long a webhook may wait for its answer."""

    tenant_requests_per_minute: int = Field(default=60_000, ge=0)
    """Requests to the REST API per client; 0 is no limit, as in all of these."""
    key_requests_per_minute: int = Field(default=30_000, ge=0)
    """Requests to the REST API per API key, or per subject of a token."""
    tenant_body_bytes_per_minute: int = Field(default=512 * 1024 * 1024, ge=0)
    """Bytes in bodies of REST requests, per client."""
    tenant_import_rows_per_minute: int = Field(default=100_000, ge=0)
    """Rows of imports, and what is recorded one by one, per client."""
    key_import_rows_per_minute: int = Field(default=50_000, ge=0)
    """The same, per API key, or per subject of a token."""
    tenant_webhooks_per_minute: int = Field(default=0, ge=0)
    """Webhooks per client. Off: a ticketing tool that does not deliver again after 429 loses time by it, and
    what one client floods does not delay the others in any case."""
    tenant_webhook_bytes_per_minute: int = Field(default=0, ge=0)
    """Bytes in bodies of webhooks, per client; off for the same reason."""
    address_failures_per_minute: int = Field(default=300, ge=0)
    """Wrong keys, tokens and signatures per source address (IPv6: per /64) before it has to prove itself."""
    trusted_proxies: Networks = ()
    """Proxies in front, as addresses or networks with commas between: the source address is what the last of
    them says in `X-Forwarded-For`. Name proxies only, since whoever is in such a network may claim any."""

    events_heartbeat_seconds: float = Field(default=15, gt=0)
    """How long an event stream may be silent."""
    events_confirm_seconds: float = Field(default=1, gt=0)
    """How often it is looked whether who follows a stream still may; `secret_cache_seconds` comes on top."""
    events_seconds: float = Field(default=3600, gt=0)
    """How long an event stream lasts before the client has to come, and be authenticated, again."""
