"""Every table, role and function, asked of the catalogue, so that a new one is covered by being there."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from cli.migrate.services import migrated_services
from tests.support.databases import TestDatabase

ROOT: Final = Path(__file__).parents[2]
ROLES: Final = {service.schema: service.role for service in migrated_services()}
OF_THE_TENANT: Final = "(tenant_id = current_setting('dossier.tenant'::text, true))"

WITHOUT_TENANT: Final[Mapping[str, str]] = {
    **{f"{schema}.schema_migrations": "which migrations were applied" for schema in ROLES},
    "orchestrator.executors": "replicas of the orchestrator and their leases",
    "orchestrator.pauses": "whether everything is paused",
    "tenants.deletions": "the provider's record of clients that were deleted",
}
ENGINES: Final = "dbos"
"""The workflow engine takes runs up across tenants, and its tables are its own: no policy can be on them.
They hold the names of tenants and runs and nothing of a ticket, as `test_traces.py` shows."""
ACROSS_TENANTS: Final[Mapping[str, str]] = {
    **{
        f"{schema}.audit_backlog": "events are handed over in turns between tenants"
        for schema in ("history", "knowledge", "network", "orchestrator")
    },
    "history.find_candidates": "the policy would keep the index away; confines itself to the tenant set",
    "history.find_nearest": "as find_candidates; confines itself to the tenant set",
    "history.tend_vector_indexes": "makes large tenants' indexes; gives the name of one",
    "history.backlog_state": "how much waits to be embedded, of all tenants: a number",
    "history.queue_unembedded": "what another model embedded is embedded again, whoever's it is",
    "history.take_backlog": "one embedder works for all tenants; gives names of tenants and tickets",
    "knowledge.find_candidates": "the policy would keep the index away; confines itself to the tenant set",
    "knowledge.find_nearest": "as find_candidates; confines itself to the tenant set",
    "knowledge.backlog_state": "how much waits to be embedded, of all tenants: a number",
    "knowledge.clients_with_syncs": "what is synced no more is removed; gives names alone",
    "knowledge.due_syncs": "syncs of all clients are taken up in turns; gives names of clients",
    "knowledge.queue_unembedded": "what another model embedded is embedded again, whoever's it is",
    "knowledge.take_backlog": "one embedder works for all tenants; gives names of tenants and articles",
    "orchestrator.accept": "a batch of webhooks is of many tenants",
    "orchestrator.apply_shares": "the queue's copy of all clients' shares, and of nothing else",
    "orchestrator.inherited_shares": "shares that were set before they were settings",
    "orchestrator.claim": "replicas take runs up in turns between tenants",
    "orchestrator.ratings_backlog": "thumbs are handed over in turns between tenants",
    "orchestrator.recover": "the runs of a replica that died, whoever's they are",
    "orchestrator.sweep": "the engine's rows of what has ended, of all tenants at once",
    "tenants.erase_audit_anchors": "the service itself may not; only of a tenant set that is being deleted",
    "tenants.erase_audit_events": "the service itself may not; only of a tenant set that is being deleted",
    "tenants.expire_audit_events": "the service itself may not; only old ones of the tenant set",
    "tenants.holder_of_key": "whose a key is must be found before the tenant is known",
    "tenants.knowledge_bases_after": "each client's knowledge bases are synced; gives no credentials",
    "tenants.queue_shares_after": "runs are taken up by all clients' shares",
    "tenants.retrieval_settings_after": "each client is searched by its own weights",
    "tenants.tenants_after": "operators list every client",
}
"""Functions that run as their owner and so past the tenant's policy; nothing else does."""
CONNECTING: Final = {"services/runtime/database.py", "services/orchestrator/engine/configuration.py"}
"""The kernel's transactions, and the engine's own pool."""
OPENING: Final = re.compile(r"\b(asyncpg|psycopg)\.\w*connect\b|\bcreate_(async_)?(engine|pool)\(")
SETTING: Final = re.compile(r"\bdossier\.tenant\b(?!\.)|\bset (local|session) ", re.IGNORECASE)


@pytest.fixture
def catalogue(database: TestDatabase) -> Iterator["psycopg.Connection[dict[str, Any]]"]:
    with psycopg.connect(database.admin_url, row_factory=psycopg.rows.dict_row) as connection:
        yield connection


Catalogue = psycopg.Connection[dict[str, Any]]
TABLES: Final = """
select c.oid, n.nspname as schema, n.nspname || '.' || c.relname as name, c.relkind::text as kind,
       c.relrowsecurity and c.relforcerowsecurity as forced, a.attnotnull as named,
       c.relowner::regrole::text as owner
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
where c.relkind in ('r', 'p', 'v', 'm', 'f')
  and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'
"""


def test_every_table_is_a_tenants_or_has_a_reason_not_to_be(catalogue: Catalogue) -> None:
    tables = {row["name"]: row for row in catalogue.execute(TABLES).fetchall()}
    ours = {name: row for name, row in tables.items() if row["schema"] != ENGINES}

    assert {row["schema"] for row in ours.values()} == ROLES.keys()
    assert {name: row["kind"] for name, row in ours.items() if row["kind"] != "r"} == {}, (
        "a view shows what its owner may see"
    )
    assert {name for name, row in ours.items() if row["named"] is None} == WITHOUT_TENANT.keys()
    assert {name for name, row in ours.items() if row["named"] is False} == set(), "a row of nobody's"
    assert {name for name, row in ours.items() if row["named"] is not None and not row["forced"]} == set()


def test_the_only_policy_of_a_services_role_is_the_tenants(catalogue: Catalogue) -> None:
    found = catalogue.execute(
        """
        select n.nspname as schema, n.nspname || '.' || c.relname as name, p.polcmd::text as command,
               p.polpermissive as permissive,
               array(select coalesce(r.rolname::text, 'public') from unnest(p.polroles) as role(oid)
                     left join pg_roles r on r.oid = role.oid) as roles,
               pg_get_expr(p.polqual, p.polrelid) as sees, pg_get_expr(p.polwithcheck, p.polrelid) as writes
        from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
        """
    ).fetchall()
    tenants = {row["name"] for row in catalogue.execute(TABLES).fetchall() if row["named"] is not None}
    of_services = [row for row in found if {*ROLES.values(), "public"} & set(row["roles"])]

    assert {row["name"] for row in of_services} == tenants
    for row in of_services:
        assert row["roles"] == [ROLES[row["schema"]]], row
        assert (row["command"], row["permissive"]) == ("*", True), row
        assert (row["sees"], row["writes"]) == (OF_THE_TENANT, OF_THE_TENANT), row


def test_services_log_in_as_roles_that_nothing_excepts_from_the_policies(catalogue: Catalogue) -> None:
    found = catalogue.execute(
        "select *, exists(select from pg_auth_members where member = r.oid) as is_member from pg_roles r"
        " where rolname like 'dossier%'"
    ).fetchall()
    owners = {row["owner"] for row in catalogue.execute(TABLES).fetchall()}

    assert {row["rolname"] for row in found if row["rolcanlogin"]} == set(ROLES.values())
    for row in found:
        excepted = ("rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolreplication", "is_member")
        assert not any(row[each] for each in excepted), row
    assert owners.isdisjoint(row["rolname"] for row in found)


def test_no_service_may_anything_in_anothers_schema(catalogue: Catalogue) -> None:
    schemas = {row["schema"] for row in catalogue.execute(TABLES).fetchall()}
    allowed = {(role, schema) for schema, role in ROLES.items()} | {(ROLES["orchestrator"], ENGINES)}
    asked = "has_schema_privilege(%(role)s, %(schema)s, 'usage') as uses,"
    asked += " has_schema_privilege(%(role)s, %(schema)s, 'create') as creates"
    for role in ROLES.values():
        for schema in schemas:
            (row,) = catalogue.execute(f"select {asked}", {"role": role, "schema": schema}).fetchall()
            assert row == {"uses": (role, schema) in allowed, "creates": False}, (role, schema)
        rights = "select, insert, update, delete, truncate, references, trigger"
        beyond = catalogue.execute(
            f"select name from ({TABLES}) as t where has_table_privilege(%s, t.oid, %s)"  # noqa: S608
            " and t.schema <> all (%s)",
            (role, rights, [schema for owner, schema in allowed if owner == role]),
        ).fetchall()
        assert beyond == [], role


BY_THE_TABLES_OWNER: Final = {"history.tend_vector_indexes"}
"""Nobody else may index a table. It takes a number and no text."""


def test_what_runs_past_the_policies_is_listed_and_fenced_in(catalogue: Catalogue) -> None:
    found = catalogue.execute(
        """
        select n.nspname as schema, n.nspname || '.' || p.proname as name, p.proconfig as settings,
               o.rolcanlogin or o.rolsuper or o.rolbypassrls as owner_is_somebody,
               array(select coalesce(r.rolname::text, 'public') from aclexplode(p.proacl) as acl
                     left join pg_roles r on r.oid = acl.grantee
                     where r.oid is distinct from p.proowner) as callers
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_roles o on o.oid = p.proowner
        where p.prosecdef
        """
    ).fetchall()

    assert {row["name"] for row in found} == ACROSS_TENANTS.keys()
    assert len(found) == len(ACROSS_TENANTS), "one of them is overloaded"
    for row in found:
        # Without pg_temp at the end, a caller's own temporary types would come first.
        assert "search_path=pg_catalog, pg_temp" in (row["settings"] or []), row
        assert row["callers"] == [ROLES[row["schema"]]], row
        assert not row["owner_is_somebody"] or row["name"] in BY_THE_TABLES_OWNER, row


def test_services_reach_postgresql_by_the_kernels_transactions_only() -> None:
    connecting = set()
    naming = set()
    for folder in ("services", "audit", "tenantdata", "gateway", "ticketing", "retrieval"):
        for path in (ROOT / folder).rglob("*.py"):
            name, source = str(path.relative_to(ROOT)), path.read_text()
            if OPENING.search(source):
                connecting.add(name)
            if SETTING.search(source):
                naming.add(name)

    assert connecting == CONNECTING
    assert naming == {"services/runtime/database.py"}
