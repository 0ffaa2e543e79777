"""Events that other services hand over: into the log that their token names, once, and as they were made."""

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import grpc
import pytest

from dossier.tenants.v1.audit_pb2 import FieldChange
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.tenants.client import Client, reported, tenant
from tests.tenants.failures import failure_of

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub


@pytest.fixture
async def history(stub: "TenantServiceAsyncStub", keys: Keys, operator: Client) -> Client:
    """Acting for acme, which is there."""
    await operator.create()
    return Client(stub, keys.metadata("tenants", tenant="acme", subject="history"))


async def test_a_reported_event_is_kept_as_it_was_made(history: Client, operator: Client) -> None:
    event = reported()

    assert await history.report(event) == 1

    kept = (await operator.events("acme"))[-1]
    assert (kept.sequence, kept.service, kept.event_id) == (2, "history", event.event_id)
    assert (kept.principal, kept.subject, kept.role) == ("key-7", "gateway", "admin")
    assert (kept.action, kept.resource, kept.request_id) == (event.action, event.resource, event.request_id)
    assert list(kept.changes) == list(event.changes)
    assert kept.create_time.ToMicroseconds() == event.create_time.ToMicroseconds()
    verdict = await operator.verify("acme")
    assert (verdict.events, verdict.broken_at, verdict.head_hash) == (2, 0, kept.hash)


async def test_an_event_that_comes_again_is_no_second_one(history: Client, operator: Client) -> None:
    first, second = reported(), reported()

    assert await history.report(first) == 1
    assert await history.report(first, second, second) == 1

    told = [event.event_id for event in await operator.events("acme")][1:]
    assert told == [first.event_id, second.event_id]


async def test_many_at_once_are_one_chain(history: Client, operator: Client) -> None:
    batches = [[reported() for _ in range(10)] for _ in range(6)]

    await asyncio.gather(*(history.report(*batch) for batch in [*batches, *batches]))

    verdict = await operator.verify("acme")
    assert (verdict.events, verdict.broken_at) == (61, 0)


async def test_the_token_says_whose_log_it_is(
    history: Client, operator: Client, stub: "TenantServiceAsyncStub", keys: Keys
) -> None:
    await operator.create(tenant("globex"))
    globex = Client(stub, keys.metadata("tenants", tenant="globex", subject="network"))
    event = reported()

    await history.report(event)
    await globex.report(event)

    for name, service in (("acme", "history"), ("globex", "network")):
        assert (await operator.events(name))[-1].service == service
        assert len(await operator.events(name)) == 2


async def test_a_client_that_is_not_there_has_no_log(stub: "TenantServiceAsyncStub", keys: Keys) -> None:
    nobody = Client(stub, keys.metadata("tenants", tenant="nobody", subject="history"))

    failure = await failure_of(nobody.report(reported()))

    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND")


async def test_without_a_tenant_it_is_the_operators_log(
    history: Client,
    operator: Client,
    stub: "TenantServiceAsyncStub",
    keys: Keys,
    database: TestDatabase,
) -> None:
    everybody = Client(stub, keys.metadata("tenants", tenant=None, subject="orchestrator"))
    event = reported(action="PauseQueue", resource="queue")

    assert [await everybody.report(event), await everybody.report(event)] == [1, 0]

    assert len(await operator.events("acme")) == 1
    connection = await asyncpg.connect(database.admin_url)
    rows = await connection.fetch("select * from tenants.audit_events where tenant_id = '-'")
    await connection.close()
    assert [(row["sequence"], row["service"], row["action"]) for row in rows] == [
        (1, "orchestrator", "PauseQueue")
    ]


@pytest.mark.parametrize("told", [{"resource": "x" * 513}, {"principal": "x" * 257}, {"event_id": "1"}])
async def test_what_is_no_event_is_refused(history: Client, told: dict[str, object]) -> None:
    assert (await failure_of(history.report(reported(**told)))).reason == "INVALID_ARGUMENT"


async def test_what_cannot_be_kept_as_text_is_no_reason_to_lose_an_event(
    history: Client, operator: Client
) -> None:
    changes = [FieldChange(field="a\0b", before='"\0"')]

    await history.report(reported(changes=changes))

    assert "\ufffd" in str((await operator.events("acme"))[-1].changes[-1].field)
    assert (await operator.verify("acme")).broken_at == 0


async def test_the_log_of_a_client_that_is_older_begins_with_its_settings(
    history: Client, operator: Client, database: TestDatabase
) -> None:
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute("delete from tenants.audit_events")
    await connection.close()

    assert await history.report(reported()) == 1

    assert [event.action for event in await operator.events("acme")] == ["LogBegun", "DeleteTicket"]
    assert (await operator.verify("acme")).broken_at == 0
