"""The audit log: nobody changes it unnoticed, and it holds no secret."""

from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_pb2 import BriefSettings, Tenant, TicketingConnection
from services.runtime.paging import PageTokens
from services.tenants.audit import ReportedEvent, following
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
        ("update tenants.audit_events set service = 'history' where sequence = 2", 2),
        ("update tenants.audit_events set event_id = gen_random_uuid() where sequence = 3", 3),
        ("update tenants.audit_events set form = 1 where sequence = 2", 2),
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
        forged = ReportedEvent(event.origin, replace(event.actor, principal="nobody"), event.action)
        before = following(before, event.tenant, forged)
        await owner.execute(
            """
            update tenants.audit_events set principal = 'nobody', hash = $2 where sequence = $1
            """,
            *(event.sequence, before.hash),
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


FROM_BEFORE = """
insert into tenants.audit_events
    (tenant_id, sequence, form, service, create_time, principal, subject, role, request_id, action, resource,
     changes, hash)
values
    ('acme', 1, 1, '', '2026-11-01T08:00:01.25Z', 'jo', 'cli', 'operator', 'request-1', 'CreateTenant',
     'tenant', '[]', '\\x3e30d0bdbc23cac56cb7f170d325977d5a83f44cc2c307a8227430552d20ab7d'),
    ('acme', 2, 1, '', '2026-11-01T08:00:02.25Z', 'jo', 'cli', 'operator', 'request-2', 'UpdateTenant',
     'tenant', '[["brief.language", "\\"nl\\"", "\\"de\\""]]',
     '\\x55577c626504bc1815b96d94b482aeb7ca639c9a3010a7f1014dfb429e61d9c7')
"""
"""As the version before wrote them, without a service and an id."""


@pytest.fixture
async def aged(operator: Client, owner: "asyncpg.Connection[asyncpg.Record]") -> Client:
    await operator.create()
    await owner.execute("delete from tenants.audit_events")
    await owner.execute(FROM_BEFORE)
    return operator


async def test_events_of_the_form_before_go_on_to_count(aged: Client) -> None:
    await aged.suspend("acme")

    events = await aged.events("acme")
    verdict = await aged.verify("acme", known_hash=events[1].hash)

    assert [(event.action, event.service) for event in events] == [
        ("CreateTenant", ""),
        ("UpdateTenant", ""),
        ("SuspendTenant", "tenants"),
    ]
    assert verdict == pb.VerifyAuditLogResponse(events=3, head_hash=events[2].hash, known_hash_found=True)


@pytest.mark.parametrize("what", ["service = 'history'", "event_id = gen_random_uuid()"])
async def test_an_event_of_the_form_before_is_given_no_origin_that_its_hash_does_not_cover(
    aged: Client, owner: "asyncpg.Connection[asyncpg.Record]", what: str
) -> None:
    await owner.execute(f"update tenants.audit_events set {what} where sequence = 1")  # noqa: S608 - a test's

    assert (await aged.verify("acme")).broken_at == 1


async def test_a_new_clients_log_begins_with_its_settings(operator: Client) -> None:
    await operator.create()

    (event,) = await operator.events("acme")

    assert (event.action, event.service) == ("CreateTenant", "tenants")
    told = {each.field: (each.before, each.after) for each in event.changes}
    assert told["brief.language"] == ("", '"nl"')
    assert told["ticketing.base_url"] == ("", '"https://desk.acme.example"')
    assert told["ticketing.options.portal"] == ("", '"itdesk"')


async def test_the_log_of_a_client_that_is_older_begins_with_its_settings_before_the_change(
    operator: Client, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await operator.create()
    await owner.execute("delete from tenants.audit_events")

    await operator.update("acme", Tenant(brief=BriefSettings(language="de")), "brief.language")
    begun, changed = await operator.events("acme")

    assert (begun.action, begun.principal) == ("LogBegun", "tenants")
    assert ("brief.language", "", '"nl"') in [(each.field, each.before, each.after) for each in begun.changes]
    assert [(each.before, each.after) for each in changed.changes] == [('"nl"', '"de"')]
    verdict = await operator.verify("acme")
    assert (verdict.events, verdict.broken_at) == (2, 0)


async def test_an_address_with_a_password_is_refused_and_leaves_no_event(operator: Client) -> None:
    await operator.create()
    leading = Tenant(ticketing=TicketingConnection(base_url=f"https://jo:{CANARY}@desk.acme.example"))

    refused = await failure_of(operator.update("acme", leading, "ticketing.base_url"))

    assert refused.fields == ["tenant.ticketing.base_url"]
    assert CANARY not in refused.message
    assert [event.action for event in await operator.events("acme")] == ["CreateTenant"]
