"""The plan of a whole instance: its servers, its seven kinds of processes, its migrations."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil

from cli.embedded.embedder import EMBEDDING_VARIABLE, EmbeddedEmbedder
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.redis import EmbeddedRedis
from cli.embedded.sockets import socket_directory
from cli.instance import Instance, InstanceRecord, Phase, ProcessMark
from cli.ports import SERVICES, Ports
from cli.program import Program
from cli.supervisor.environment import DATABASE_VARIABLE, REDIS_VARIABLE, compose, public_url_of
from cli.supervisor.preparation import preparing
from cli.supervisor.probe import http_probe, local_probe
from cli.supervisor.supervisor import Managed, Plan


def first_record(ports: Ports, *, tls: bool) -> InstanceRecord:
    """Describe an instance before anything of it exists."""
    return InstanceRecord(
        phase=Phase.STARTING,
        supervisor=ProcessMark(pid=os.getpid(), created=psutil.Process().create_time()),
        gateway_port=ports.gateway,
        first_service_port=ports.first_service,
        gateways=ports.gateways,
        public_url=public_url_of(ports),
        database="external" if os.environ.get(DATABASE_VARIABLE) else "embedded",
        redis="external" if os.environ.get(REDIS_VARIABLE) else "embedded",
        tls=tls,
        embedder="external" if os.environ.get(EMBEDDING_VARIABLE) else "embedded",
    )


@dataclass(frozen=True, slots=True)
class Mesh:
    plan: Plan
    record: InstanceRecord


def compose_mesh(instance: Instance, record: InstanceRecord) -> Mesh:
    """Decide everything about an instance; starts and creates nothing."""
    sockets = socket_directory(instance.home)
    postgres = EmbeddedPostgres(instance.postgres, sockets)
    redis = EmbeddedRedis(sockets)
    servers = []
    create: Callable[[], None] = _nothing
    if record.database == "embedded":
        create = postgres.prepare
        probe = local_probe(postgres.ready, reason="is not accepting connections yet")
        servers.append(Managed(postgres.program(), probe))
        record = record.model_copy(update={"database_url": postgres.url()})
    if record.redis == "embedded":
        probe = local_probe(redis.ready, reason="does not answer yet")
        servers.append(Managed(redis.program(), probe))
        record = record.model_copy(update={"redis_url": redis.url()})
    database_url = record.database_url or os.environ[DATABASE_VARIABLE]
    embedder = EmbeddedEmbedder(sockets)
    environment = compose(
        instance,
        ports=record.ports,
        embedded_database_url=record.database_url or None,
        redis_url=record.redis_url or os.environ[REDIS_VARIABLE],
        tls=record.tls,
        embedding_url=embedder.url() if record.embedder == "embedded" else os.environ[EMBEDDING_VARIABLE],
    )
    groups = _groups(record.ports, environment)
    if record.embedder == "embedded":
        # Nobody waits for it: without it, words alone are compared.
        probe = local_probe(embedder.ready, reason="does not answer yet")
        groups[0].append(Managed(embedder.program(environment), probe))
    prepare = preparing(instance, database_url=database_url, environment=environment)
    plan = Plan(servers, create, prepare, groups=groups)
    return Mesh(plan, record)


def _nothing() -> None:
    return


def _groups(ports: Ports, environment: Mapping[str, str]) -> list[list[Managed]]:
    def service(name: str) -> Managed:
        # -P: the working directory must not shadow a module.
        program = Program(name, (sys.executable, "-P", "-m", f"services.{name}"), environment)
        # The engine tries longer and longer pauses while its tables are missing.
        return Managed(program, http_probe(ports.metrics(name)), needs_migrations=name == "orchestrator")

    def gateway(name: str) -> Managed:
        own = {"DOSSIER_GATEWAY_METRICS_PORT": str(ports.metrics(name))}
        program = Program(name, (sys.executable, "-P", "-m", "gateway"), {**environment, **own})
        # Not the port that they share, where any of them may answer.
        return Managed(program, http_probe(ports.metrics(name)))

    answering = [service(name) for name in SERVICES if name != "orchestrator"]
    return [answering, [service("orchestrator")], [gateway(name) for name in ports.gateway_names]]
