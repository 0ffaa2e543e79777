import socket

from pydantic import Field, HttpUrl, SecretStr
from uuid_utils import uuid7

from audit.settings import AuditedSettings
from egress.permits import Permits
from egress.settings import PermittedNetworks
from services.runtime.settings import DatabaseSettings, RedisSettings, settings_config


class OrchestratorSettings(AuditedSettings, DatabaseSettings, RedisSettings):
    model_config = settings_config("orchestrator")

    grpc_port: int = Field(default=50051, ge=0, le=65535)
    metrics_port: int = Field(default=51051, ge=0, le=65535)
    history_target: str = "localhost:50052"
    history_seconds: float = Field(default=2, gt=0, le=60)
    """Longest wait for similar tickets."""
    knowledge_target: str = "localhost:50053"
    knowledge_seconds: float = Field(default=10, gt=0, le=60)
    """Longest wait for articles."""
    network_target: str = "localhost:50054"
    network_seconds: float = Field(default=2, gt=0, le=60)
    """Longest wait for what addresses and hosts are."""
    synthesis_target: str = "localhost:50055"
    synthesis_seconds: float = Field(default=30, gt=0, le=600)
    """Longest wait for one attempt at a brief."""
    tenant_cache_seconds: float = Field(default=2, gt=0)
    """How long a tenant's settings and credentials are believed without asking again."""
    tool_seconds: float = Field(default=15, gt=0, le=120)
    """Longest wait for one request at a ticketing tool, and how long a request may go on there that nobody
    waits for any more: until then no second note is posted in its place."""
    permitted_networks: PermittedNetworks = Permits.parse("")
    """Private networks in which tenants' ticketing tools and context sources may be, separated by commas:
    `10.20.0.0/16` for every tenant, `acme=10.20.0.0/16` for one. Unset: none, only what is public."""
    redis_seconds: float = Field(default=0.2, gt=0, le=5)
    """Longest wait for Redis before a request goes out without it: replicas share the limits of ticketing
    tools there. Without it `requests_per_minute` is not kept, and each replica learns of a 429 by itself."""

    run_seconds: float = Field(default=120, gt=0)
    """The time in which a brief should be delivered; until then what fails is tried again quickly."""
    patience_seconds: float = Field(default=900, gt=0)
    """How long after its start a run goes on trying, slowly after `run_seconds`, before it fails."""

    settle_seconds: float = Field(default=3, ge=0, le=300)
    """How long a change of a known ticket waits for further ones, which then make one brief together."""

    executor_id: str = Field(default_factory=lambda: f"{socket.gethostname()}-{uuid7()}", min_length=1)
    """Names this process. No two that live may have the same: the default never repeats."""
    lease_seconds: float = Field(default=8, ge=0.5, le=60)
    """How long after this process's last sign of life its runs go to the others."""
    worker_concurrency: int = Field(default=32, ge=1, le=1000)
    """Runs this replica works on at a time."""
    tenant_concurrency: int = Field(default=4, ge=1, le=1000)
    """Runs of one tenant in progress at a time, on all replicas; a tenant may have a cap of its own."""
    engine_pool_max: int = Field(default=8, ge=2)
    """Database connections of the workflow engine, beside `database_pool_max`."""
    engine_database_url: SecretStr | None = None
    """Where the workflow engine reaches the same database, when a transaction pooler stands at
    `database_url`: the engine needs sessions of its own. Unset, it goes there, too."""

    retention_days: float = Field(default=90, ge=4)
    """How long ended enhancements are kept where a client's own settings do not say. Senders deliver again
    for three days, and are known then."""

    public_url: HttpUrl | None = None
    """Where people reach the gateway; notes link to their enhancement there. Unset: no link."""
