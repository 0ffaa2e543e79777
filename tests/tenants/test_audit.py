"""The audit log: nobody changes it unnoticed, and it holds no secret."""

from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_pb2 import BriefSettings, Tenant
from services.runtime.paging import PageTokens
from services.tenants.audit import following
from services.tenants.rows import event_of
from tests.support.databases import TestDatabase
from tests.support.leaks import CANARY
from tests.tenants.client import CREDENTIALS, Client, tenant
from tests.tenants.failures import failure_of

LANGUAGES = ("de", "fr", "it")


@pytest.fixture
async def head(operator: Client) -> str:
    """The newest of four events' hash."""
    await operator.create()
    for language in LANGUAGES:
        await operator.update("acme", Tenant(brief=BriefSettings(language=language)), "brief.language")
    return (await operator.verify("acme")).head_hash


@pytest.fixture
async def owner(database: TestDatabase) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.admin_url)
    yield connection
    await connection.close()


async def test_a_log_that_nobody_touched_is_whole(operator: Client, head: str) -> None:
    events = await operator.events("acme")

    verdict = await operator.verify("acme", known_hash=events[1].hash)

    assert verdict == pb.VerifyAuditLogResponse(events=4, head_hash=head, known_hash_found=True)
    assert head == events[-1].hash
    assert [event.changes[0].after for event in events[1:]] == [f'"{each}"' for each in LANGUAGES]


@pytest.mark.parametrize(
    ("tampering", "broken_at"),
    [
        ("update tenants.audit_events set principal = 'nobody' where sequence = 2", 2),
        ("update tenants.audit_events set changes = '[]' where sequence = 3", 3),
        ("update tenants.audit_events set create_time = create_time - interval '1 s' where sequence = 1", 1),
        ("delete from tenants.audit_events where sequence = 2", 2),
        ("""update tenants.audit_events set changes = '[["a"]]' where sequence = 2""", 2),
        ("update tenants.audit_events set changes = '{}' where sequence = 1", 1),
        ("delete from tenants.audit_events where sequence = 1", 1),
        (
            (
                "delete from tenants.audit_events where sequence = 3;"
                " update tenants.audit_events set sequence = 3 where sequence = 4"
            ),
            3,
        ),
    ],
)
async def test_what_the_databases_owner_changed_shows(
    operator: Client,
    head: str,
    owner: "asyncpg.Connection[asyncpg.Record]",
    tampering: str,
    broken_at: int,
) -> None:
    await owner.execute(tampering)

    verdict = await operator.verify("acme", known_hash=head)

    assert (verdict.broken_at, verdict.head_hash, verdict.known_hash_found) == (broken_at, "", False)


async def test_a_log_cut_short_shows_against_a_hash_noted_before(
    operator: Client, head: str, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await owner.execute("delete from tenants.audit_events where sequence = 4")

    verdict = await operator.verify("acme", known_hash=head)

    assert (verdict.events, verdict.broken_at, verdict.known_hash_found) == (3, 0, False)


@pytest.mark.parametrize(
    "statement",
    [
        "update tenants.audit_events set principal = 'x'",
        "delete from tenants.audit_events",
        "truncate tenants.audit_events",
    ],
)
async def test_the_service_itself_can_only_append(
    operator: Client, database: TestDatabase, statement: str
) -> None:
    await operator.create()
    connection = await asyncpg.connect(database.url("tenants"))

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)

    await connection.close()


async def test_no_secret_is_in_the_log(operator: Client, owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    made = await operator.create()
    await operator.set_credentials("acme", {"authtoken": f"{CANARY}-second"})
    rotated = await operator.rotate("acme")
    key = await operator.create_key("acme")

    log = str(await operator.events("acme"))
    dump = str([tuple(row) for row in await owner.fetch("select * from tenants.audit_events")])

    secrets = {made.webhook_secret, made.api_key, rotated.webhook_secret, key.api_key, f"{CANARY}-second"}
    for secret in secrets | set(CREDENTIALS.values()):
        assert secret not in log
        assert secret not in dump
    assert "authtoken" in log


async def test_who_computes_the_hashes_anew_is_found_out_by_a_hash_noted_before(
    operator: Client, head: str, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    before = None
    for row in await owner.fetch("select * from tenants.audit_events order by sequence"):
        event = event_of(row)
        forged = replace(event.actor, principal="nobody")
        before = following(before, event.tenant, forged, event.action)
        await owner.execute(
            """
            update tenants.audit_events set principal = 'nobody', create_time = $2, hash = $3
            where sequence = $1
            """,
            *(event.sequence, before.create_time, before.hash),
        )

    verdict = await operator.verify("acme", known_hash=head)

    assert (verdict.events, verdict.broken_at, verdict.known_hash_found) == (4, 0, False)


@pytest.mark.parametrize("last", [-1, True, 2**63, "1"])
async def test_a_forged_page_token_is_refused(operator: Client, last: object) -> None:
    await operator.create()
    forged = PageTokens("ListAuditEvents", tenant="acme").encode(last)  # type: ignore[arg-type]

    assert (await failure_of(operator.events_page("acme", page_token=forged))).reason == "INVALID_ARGUMENT"


async def test_events_come_page_by_page(operator: Client, head: str) -> None:
    first = await operator.events_page("acme", page_size=3)
    second = await operator.events_page("acme", page_size=3, page_token=first.next_page_token)

    assert [event.sequence for page in (first, second) for event in page.events] == [1, 2, 3, 4]
    assert second.events[-1].hash == head
    assert not second.next_page_token


async def test_a_page_token_of_another_clients_log_is_refused(operator: Client, head: str) -> None:
    assert head
    await operator.create(tenant("globex"))
    token = (await operator.events_page("acme", page_size=1)).next_page_token

    assert (await failure_of(operator.events_page("globex", page_token=token))).reason == "INVALID_ARGUMENT"
