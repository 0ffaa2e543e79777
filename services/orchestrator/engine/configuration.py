"""How DBOS is configured here, and why."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import sqlalchemy
from dbos import DBOSClient, DBOSConfig

from services.orchestrator.engine.workflow import APPLICATION, QUEUE

_SCHEMA: Final = "dbos"
_ROLE: Final = "dossier_orchestrator"
# Pinned: the engine's own choice is a hash of the code, and a release would not take up what the one before
# it left. Raise it when the names or the order of a workflow's steps change, and drain before.
VERSION: Final = "1"
# Half of what a ticket waits for a worker when it is quiet. A poll costs about 2 ms of CPU.
_POLL_SECONDS: Final = 0.05
_CONNECT_SECONDS: Final = 5
_IDLE_TRANSACTION_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class EngineSettings:
    database_url: str
    executor_id: str
    worker_concurrency: int
    tenant_concurrency: int
    pool_max: int
    lease_seconds: float
    """How long after its last sign of life a replica's runs go to the others."""
    grace_seconds: float
    """How long steps may go on when the engine closes; those that do not end are done again later."""


def connections(settings: EngineSettings) -> sqlalchemy.Engine:
    """The engine's own pool: it speaks to PostgreSQL synchronously, from its threads."""
    url = sqlalchemy.make_url(settings.database_url).set(drivername="postgresql+psycopg")
    options = f"-c idle_in_transaction_session_timeout={_IDLE_TRANSACTION_MS}"
    if urlsplit(settings.database_url).username != _ROLE:
        options += f" -c role={_ROLE}"
    return sqlalchemy.create_engine(
        url,
        pool_size=settings.pool_max,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={
            "application_name": f"{_ROLE}_engine",
            "connect_timeout": _CONNECT_SECONDS,
            "options": options,
        },
    )


def configuration(settings: EngineSettings, pool: sqlalchemy.Engine) -> DBOSConfig:
    return {
        "name": APPLICATION,
        "system_database_engine": pool,
        "dbos_system_schema": _SCHEMA,
        # `dossier migrate` does it, as a role that may; this only checks.
        "run_migrations": False,
        "application_version": VERSION,
        "executor_id": settings.executor_id,
        "log_level": "WARNING",
        "enable_otlp": False,
    }


def declare_queue(settings: EngineSettings, pool: sqlalchemy.Engine) -> None:
    """Before the engine starts, which would notice a new queue only a second later.

    Without limits a tenant and over all replicas: `claiming` sees to both.
    """
    client = DBOSClient(
        system_database_engine=pool,
        dbos_system_schema=_SCHEMA,
        application_name=APPLICATION,
        retry_connection_errors=False,
    )
    try:
        client.register_queue(
            QUEUE,
            worker_concurrency=settings.worker_concurrency,
            polling_interval_sec=_POLL_SECONDS,
        )
    finally:
        client.destroy()
