"""Where a client's things might be left beside its tables: the engine's, Redis, and the pages of metrics."""

import re
from collections.abc import Sequence

import psycopg
import redis
from psycopg import sql

from cli.ports import SERVICES
from tests.isolation.calls import Credential, methods, name_of
from tests.isolation.cases import CASES
from tests.isolation.world import World, get_metrics
from tests.support.pgbouncer import POOL_SIZE
from tests.support.polling import eventually

KEYLESS = {
    *("CLIENT", "COMMAND", "ECHO", "HELLO", "INFO", "MONITOR", "PING", "SCAN", "SCRIPT", "TIME"),
    *("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"),
}
KEY = re.compile(r"dossier:(?P<service>[a-z]+):(?P<tenant>[a-z0-9-]+):.+")
NOBODYS = "-"
"""In place of a client: what the gateway counts for an address, or for operators."""


def test_the_engine_keeps_names_of_tenants_and_runs_and_nothing_of_a_ticket(world: World) -> None:
    seen: dict[str, set[str]] = {}
    with psycopg.connect(world.admin_url) as admin:
        tables = admin.execute(
            "select relname from pg_class where relnamespace = 'dbos'::regnamespace and relkind in ('r', 'p')"
        ).fetchall()
        for (table,) in tables:
            rows = admin.execute(sql.SQL("select t::text from dbos.{} t").format(sql.Identifier(table)))
            seen[table] = world.aster.has.seen_in("\n".join(text for (text,) in rows))

    assert "tenant" in seen["workflow_status"]
    assert {what for found in seen.values() for what in found} <= {
        "tenant",
        "enhancement",
        "waiting",
        "failed",
    }


def test_no_page_of_metrics_tells_of_a_client(world: World) -> None:
    for name, page in get_metrics(world).items():
        assert "# TYPE" in page, name
        for client in (world.aster, world.borealis):
            assert client.has.seen_in(page) == set(), name


def test_a_clients_work_touches_no_key_of_anothers_in_redis(world: World) -> None:
    """Its key names the client, whichever service asks."""
    before = len(world.redis_commands)
    operator = Credential(world.borealis.has.tenant, "operator")

    ask(world, "OrchestratorService.ResumeQueue", operator)
    delivered = world.borealis_desk.create_request({"subject": "Toner", "description": "It is empty."})
    assert delivered.status == 202, delivered
    eventually(lambda: world.borealis_desk.notes(delivered.ticket_id) or None, what="the note")
    with world.asters_stay_as_they_are():
        for method in methods():
            if method.containing_service.name != "ContextSourceService":
                world.services.ask(method, CASES[name_of(method)](world.aster.has), operator)

    with redis.Redis.from_url(world.record.redis_url, decode_responses=True) as client:
        everything = keys_of(client, world.redis_commands)
        borealis_work = keys_of(client, world.redis_commands[before:])
        left = set(client.scan_iter())
    clients = {world.aster.has.tenant, world.borealis.has.tenant}
    assert {tenant_of(key) for key in everything} - {NOBODYS} == clients
    assert {tenant_of(key) for key in left} - {NOBODYS} <= clients
    assert {tenant_of(key) for key in borealis_work} - {NOBODYS} == {world.borealis.has.tenant}


def ask(world: World, rpc: str, caller: Credential) -> None:
    method = next(each for each in methods() if name_of(each) == rpc)
    (answer,) = world.services.ask(method, CASES[rpc](world.borealis.has), caller)
    assert answer.ok, answer


def keys_of(client: redis.Redis, commands: Sequence[str]) -> set[str]:
    """The keys that commands are about, as Redis itself tells them."""
    keys: set[str] = set()
    for command in commands:
        words = command.split(" ")
        if words[0].upper() not in KEYLESS:
            try:
                keys |= {str(key) for key in client.command_getkeys(*words)}
            except redis.ResponseError as problem:
                raise AssertionError(f"if {words[0]} is about no key, name it in KEYLESS") from problem
    return keys


def tenant_of(key: str) -> str:
    named = KEY.fullmatch(key)
    assert named is not None, key
    assert named["service"] in {"gateway", *SERVICES}, key
    return named["tenant"]


def test_through_the_pooler_means_through_it(world: World) -> None:
    """Every service's role has come by PgBouncer, on fewer sessions than its own pool would open."""
    with psycopg.connect(world.admin_url) as admin:
        sessions: dict[str, int] = dict(
            admin.execute(
                "select usename, count(*) from pg_stat_activity where datname = current_database()"
                " and application_name !~ 'engine' and usename like 'dossier%' group by usename"
            ).fetchall()
        )
    if world.pgbouncer is None:
        assert sessions
        return
    assert world.pgbouncer.pool_mode() == "transaction"
    assert world.pgbouncer.transactions(world.database) > 100
    assert max(sessions.values()) <= POOL_SIZE
