"""Two clients of one mesh, each with something of everything: *aster*, and *borealis*, who looks for it."""

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psycopg
import redis

from cli.bench.mesh import printing
from cli.demo.desk import Desk, running_desk
from cli.instance import InstanceRecord
from cli.migrate.urls import database_of, with_user
from cli.ports import SERVICES
from cli.program import Program
from tests.isolation.belongings import Belongings, steady
from tests.isolation.calls import Credential, Services, methods, name_of, only_reads
from tests.isolation.cases import CASES, NOT_SERVED
from tests.isolation.filling import Client, Filling
from tests.support.mesh import clean_environment, supervised
from tests.support.pgbouncer import PgBouncer, running_pgbouncer

BOREALIS: Final = "borealis-law"
FOREIGN: Final = tuple(
    Credential(BOREALIS, role, subject)
    for role, subject in (
        *((role, "somebody") for role in ("admin", "technician", "viewer", "operator")),
        *(("service", subject) for subject in ("gateway", "orchestrator", "history", "knowledge")),
    )
)
"""Every token that is for borealis: of each role that there is, and of the services that act for clients."""

_LAST_COMMAND: Final = "ECHO enough"

Reads = Mapping[tuple[str, str], Sequence[str]]
"""By RPC and caller, what was answered."""


@dataclass(frozen=True, slots=True)
class World:
    record: InstanceRecord
    admin_url: str
    pgbouncer: PgBouncer | None
    services: Services
    aster: Client
    borealis: Client
    aster_desk: Desk
    borealis_desk: Desk
    nobody: Belongings
    alone: Reads
    """What borealis is told while there is no aster,"""
    together: Reads
    """and when there is."""
    redis_commands: Sequence[str]
    """All that Redis has been told, until now."""

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.record.gateway_port}"

    @property
    def database(self) -> str:
        return database_of(self.admin_url)

    def service_url(self, service: str) -> str:
        """PostgreSQL as the service reaches it."""
        return _service_url(service, self.admin_url, self.pgbouncer)

    @contextmanager
    def asters_stay_as_they_are(self) -> Iterator[None]:
        """Nothing of aster's in PostgreSQL differs after the block, but when its secrets were last used: that
        is written some seconds after the use."""
        before = self._asters()
        yield
        after = self._asters()
        assert [table for table in before if before[table] != after[table]] == []

    def _asters(self) -> Mapping[str, str]:
        with psycopg.connect(self.admin_url) as connection:
            of_aster = dict.fromkeys(tenant_tables(connection), "tenant_id")
            of_aster["dbos.workflow_status"] = "queue_partition_key"
            digests = {
                table: "select md5(string_agg(kept::text, '' order by kept::text))"  # noqa: S608
                f" from (select to_jsonb(t) - 'last_used_time' as kept from {table} t"
                f" where {column} = '{self.aster.has.tenant}') asters"
                for table, column in of_aster.items()
            }
            parts = [f"select '{table}' as name, ({digest}) as digest" for table, digest in digests.items()]
            return dict(connection.execute(" union all ".join(parts)).fetchall())


def tenant_tables(connection: "psycopg.Connection[tuple[str, ...]]") -> Sequence[str]:
    """Every table with a tenant, whoever's it is."""
    found = connection.execute(
        "select format('%I.%I', table_schema, table_name) from information_schema.columns"
        " join information_schema.tables using (table_schema, table_name)"
        " where column_name = 'tenant_id' and table_type = 'BASE TABLE' order by 1"
    )
    return [name for (name,) in found]


@contextmanager
def running_world(home: Path, *, admin_url: str, pooled: bool) -> Iterator[World]:
    """Run a mesh on the database that `admin_url` names, which need not exist yet."""
    with ExitStack() as closers:
        pgbouncer = None
        if pooled:
            roles = [f"dossier_{service}" for service in SERVICES]
            pgbouncer = closers.enter_context(
                running_pgbouncer(home.with_name(f"{home.name}-pooler"), admin_url=admin_url, roles=roles)
            )
        llm = closers.enter_context(_llm())
        environment = _environment(admin_url, pgbouncer) | {
            "OPENAI_BASE_URL": f"{llm}/v1",
            "OPENAI_API_KEY": "isolation",
            "DOSSIER_SYNTHESIS_LLM_MODEL": "instant",
            # So that there is a cost to be seen.
            "DOSSIER_SYNTHESIS_LLM_INPUT_PRICE": "1000",
            "DOSSIER_SYNTHESIS_LLM_OUTPUT_PRICE": "1000",
        }
        desks = [closers.enter_context(running_desk()) for _ in range(2)]
        instance = closers.enter_context(supervised(home, environment))
        record = instance.require_running()
        heard = closers.enter_context(_monitored(record.redis_url))
        services = Services(record.ports, instance.signing_key)
        closers.callback(services.close)
        filling = Filling(
            services, gateway_url=f"http://127.0.0.1:{record.gateway_port}", admin_url=admin_url
        )
        borealis = filling.client(BOREALIS, word="quillfeather", number=71, desk=desks[0])
        nobody = Belongings.invented(borealis.has)
        alone = _reads(services, nobody)
        aster = filling.client("aster-dental", word="zanzibarite", number=72, desk=desks[1])
        yield World(
            record=record,
            admin_url=admin_url,
            pgbouncer=pgbouncer,
            services=services,
            aster=aster,
            borealis=borealis,
            aster_desk=desks[1],
            borealis_desk=desks[0],
            nobody=nobody,
            alone=alone,
            together=_reads(services, nobody),
            redis_commands=heard,
        )


def _llm() -> AbstractContextManager[str]:
    argv = (sys.executable, "-P", "-m", "cli.standins.instant_llm", "--port", "0")
    return printing(Program("instant_llm", argv, clean_environment()))


def _service_url(service: str, admin_url: str, pgbouncer: PgBouncer | None) -> str:
    role = f"dossier_{service}"
    return pgbouncer.url(database_of(admin_url), role) if pgbouncer else with_user(admin_url, role)


def _environment(admin_url: str, pgbouncer: PgBouncer | None) -> dict[str, str]:
    urls = {
        f"DOSSIER_{service.upper()}_DATABASE_URL": _service_url(service, admin_url, pgbouncer)
        for service in SERVICES
    }
    pooled = {
        "DOSSIER_DATABASE_STATEMENT_CACHE": "0",
        "DOSSIER_ORCHESTRATOR_ENGINE_DATABASE_URL": with_user(admin_url, "dossier_orchestrator"),
    }
    return {
        "DOSSIER_DATABASE_URL": admin_url,
        "DOSSIER_LOG_FORMAT": "json",
        "DOSSIER_TENANTS_DELETION_PAUSE_SECONDS": "0.1",
        "DOSSIER_TENANTS_RETENTION_SWEEP_SECONDS": "1",
        **urls,
        **(pooled if pgbouncer else {}),
    }


def _reads(services: Services, of: Belongings) -> Reads:
    return {
        (name_of(method), str(caller)): [
            steady(of.hide_in(answer.text()))
            for answer in services.ask(method, CASES[name_of(method)](of), caller)
        ]
        for method in methods()
        if name_of(method) in CASES
        and only_reads(method)
        and method.containing_service.name not in NOT_SERVED
        for caller in FOREIGN
    }


@contextmanager
def _monitored(url: str) -> Iterator[Sequence[str]]:
    heard: list[str] = []
    with redis.Redis.from_url(url) as client, client.monitor() as monitor:

        def listen() -> None:
            for each in monitor.listen():
                if each["command"] == _LAST_COMMAND:
                    return
                heard.append(each["command"])

        listening = threading.Thread(target=listen)
        listening.start()
        yield heard
        client.echo(_LAST_COMMAND.removeprefix("ECHO "))
        listening.join()


def get_metrics(world: World) -> Mapping[str, str]:
    """The metrics page of each process."""
    ports = world.record.ports
    return {
        name: httpx.get(f"http://127.0.0.1:{ports.metrics(name)}/metrics", trust_env=False).text
        for name in (*ports.gateway_names, *SERVICES)
    }
