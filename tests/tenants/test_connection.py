"""Onboarding tells whether the tool can be worked with; the same test can be asked for alone."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cli.standins.loopback import listening
from cli.standins.servicedesk_plus import NewRequest, ServiceDesk, running
from cli.standins.servicedesk_plus.faults import Fault
from dossier.tenants.v1 import connection_test_pb2 as test
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_pb2 import Tenant
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.tenants.client import CREDENTIALS, TOOL, Client, tenant
from tests.tenants.failures import failure_of
from tests.tenants.test_secrets import execute

OK, FAILED, UNKNOWN, SKIPPED = (
    test.CONNECTION_VERDICT_OK,
    test.CONNECTION_VERDICT_FAILED,
    test.CONNECTION_VERDICT_UNKNOWN,
    test.CONNECTION_VERDICT_SKIPPED,
)


@pytest.fixture
def desk() -> ServiceDesk:
    return ServiceDesk([NewRequest(id="10501", subject="Stickers")], authtoken=CREDENTIALS["authtoken"])


@pytest.fixture
async def at_desk(desk: ServiceDesk) -> AsyncIterator[Tenant]:
    """A client to be, whose tool is there."""
    async with running(desk) as base_url:
        yield at(base_url)


def at(base_url: str) -> Tenant:
    new = tenant()
    new.ticketing.base_url = base_url
    new.ticketing.options.clear()
    return new


def verdicts(tested: test.ConnectionTest) -> list["test.ConnectionVerdict.ValueType"]:
    return [check.verdict for check in tested.checks]


async def test_one_call_gives_all_that_a_new_client_needs(operator: Client, at_desk: Tenant) -> None:
    made = await operator.create(at_desk, test=True)

    assert made.webhook_url == f"https://dossier.example/webhooks/acme/{TOOL}"
    assert made.webhook_secret
    assert made.api_key
    assert made.connection_test.verdict == UNKNOWN
    assert verdicts(made.connection_test) == [OK, OK, OK, OK, UNKNOWN, OK]
    assert [check.kind for check in made.connection_test.checks] == [1, 2, 3, 4, 5, 6]
    assert CREDENTIALS["authtoken"] not in str(made.connection_test)


async def test_a_failing_test_does_not_undo_the_client(operator: Client, at_desk: Tenant) -> None:
    made = await operator.create(at_desk, credentials={"authtoken": "wrong"}, test=True)

    assert made.connection_test.verdict == FAILED
    assert made.webhook_secret
    assert (await operator.get("acme")) == made.tenant


async def test_the_secrets_of_a_new_client_arrive_before_the_callers_patience_ends(
    operator: Client,
) -> None:
    async def never(_: Request) -> Response:
        await asyncio.sleep(60)
        return Response()

    async with listening(Starlette(routes=[Route("/{rest:path}", never, methods=["GET"])])) as base_url:
        started = time.monotonic()
        made = await operator.stub.CreateTenant(
            pb.CreateTenantRequest(tenant=at(base_url), ticketing_credentials=CREDENTIALS),
            metadata=operator.metadata,
            timeout=4,
        )

    assert time.monotonic() - started < 4
    assert made.webhook_secret
    assert verdicts(made.connection_test) == [FAILED, *[SKIPPED] * 5]


async def test_the_test_is_left_out_where_it_is_not_wanted_or_there_is_no_tool(
    operator: Client, at_desk: Tenant, desk: ServiceDesk
) -> None:
    skipped = await operator.create(at_desk, test=False)
    without = tenant("globex")
    without.ticketing.base_url = ""
    toolless = await operator.create(without, test=True)

    assert not skipped.HasField("connection_test")
    assert not toolless.HasField("connection_test")
    assert toolless.webhook_url
    assert not desk.calls


async def test_the_test_alone_uses_what_is_set_now(operator: Client, at_desk: Tenant) -> None:
    await operator.create(at_desk, credentials={"authtoken": "wrong"})
    before = await operator.test_connection("acme")
    await operator.set_credentials("acme", CREDENTIALS)

    after = await operator.test_connection("acme")

    assert verdicts(before)[:2] == [OK, FAILED]
    assert verdicts(after) == [OK, OK, OK, OK, UNKNOWN, OK]


async def test_with_a_ticket_a_private_note_is_added_and_recorded_who_did_it(
    operator: Client, at_desk: Tenant, desk: ServiceDesk
) -> None:
    await operator.create(at_desk)

    tested = await operator.test_connection("acme", ticket_id="10501")

    assert tested.verdict == OK
    (note,) = desk.requests["10501"].notes
    assert not note.show_to_requester
    assert [(event.action, event.resource) for event in await operator.events("acme")] == [
        ("CreateTenant", "tenant"),
        ("TestConnection", "tickets/10501"),
    ]


async def test_the_same_call_repeated_adds_no_second_note(
    operator: Client, at_desk: Tenant, desk: ServiceDesk, keys: Keys
) -> None:
    await operator.create(at_desk)
    same = Client(operator.stub, (*operator.metadata, ("x-request-id", "req-0123456789abcdef")))

    for _ in range(2):
        assert (await same.test_connection("acme", ticket_id="10501")).verdict == OK
    assert len(desk.requests["10501"].notes) == 1

    await operator.test_connection("acme", ticket_id="10501")
    assert len(desk.requests["10501"].notes) == 2


async def test_a_suspended_client_can_be_tested(operator: Client, at_desk: Tenant) -> None:
    await operator.create(at_desk)
    await operator.suspend("acme")

    assert verdicts(await operator.test_connection("acme"))[0] == OK


async def test_a_client_without_an_address_fails_at_the_first_check(operator: Client) -> None:
    new = tenant()
    new.ticketing.base_url = ""
    await operator.create(new)

    tested = await operator.test_connection("acme")

    assert verdicts(tested) == [FAILED, *[SKIPPED] * 5]
    assert tested.checks[0].seen == "the client has no base_url"


async def test_tests_of_one_client_are_made_one_after_another(
    operator: Client, at_desk: Tenant, desk: ServiceDesk
) -> None:
    await operator.create(at_desk)
    desk.faults.inject(Fault(kind="slow", seconds=0.2, count=100, path="/requests"))
    at_once = 0
    highest = 0
    take = desk.faults.take

    def counted(method: str, path: str) -> Fault | None:
        nonlocal at_once, highest
        at_once += 1
        highest = max(highest, at_once)
        asyncio.get_running_loop().call_later(0.15, down)
        return take(method, path)

    def down() -> None:
        nonlocal at_once
        at_once -= 1

    desk.faults.take = counted  # type: ignore[method-assign] # to see how many there are at once
    await asyncio.gather(*(operator.test_connection("acme") for _ in range(3)))

    assert highest == 1


@pytest.mark.parametrize(
    "base_url",
    [
        "http://10.1.2.3:8080",
        "http://10.21.0.1",
        "https://169.254.169.254/latest",
        "http://[::1]",
        "http://[::ffff:10.1.2.3]/",
        "http://2130706433",
        "http://user:word@desk.example",
    ],
)
async def test_an_address_that_may_not_be_reached_is_refused_when_it_is_set(
    operator: Client, base_url: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as created:
        await operator.create(at(base_url), test=True)
    await operator.create()
    with pytest.raises(grpc.aio.AioRpcError) as updated:
        await operator.update("acme", at(base_url), "ticketing.base_url")

    for refused in (created.value, updated.value):
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "tenant.ticketing.base_url" in (refused.details() or "")
    assert (await operator.get("acme")).ticketing.base_url == "https://desk.acme.example"


async def test_a_refusal_says_why_and_which_setting_permits_it(operator: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await operator.create(at("http://192.168.1.5"))

    details = refused.value.details() or ""
    assert "leads to 192.168.1.5, which is not public" in details
    assert "the operator can permit it with DOSSIER_PERMITTED_NETWORKS" in details


@pytest.mark.parametrize("target", ["10.1.2.3:443", "[::1]:443", "127.0.0.2:1", "https://mon.example", "mon"])
async def test_a_sources_target_is_refused_when_it_is_set(operator: Client, target: str) -> None:
    new = tenant()
    new.sources.add(name="rmm", target=target)

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await operator.create(new)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "tenant.sources[1].target" in (refused.value.details() or "")


async def test_a_permit_counts_for_whom_it_is(operator: Client) -> None:
    permitted = at("http://10.20.0.5")
    permitted.sources[0].target = "10.20.0.6:443"
    assert (await operator.create(permitted)).tenant.ticketing.base_url == "http://10.20.0.5"

    permitted.id = "globex"
    with pytest.raises(grpc.aio.AioRpcError, match="not public"):
        await operator.create(permitted)


async def test_an_address_from_before_does_not_stand_in_the_way_of_other_changes(
    operator: Client, database: TestDatabase
) -> None:
    await operator.create()
    await execute(
        database,
        "update tenants.tenants set base_url = 'http://10.1.2.3', sources ="
        ' \'[{"name": "rmm", "target": "10.1.2.4:1", "deadline_ms": 0}]\'',
    )

    updated = await operator.update("acme", Tenant(display_name="Acme II"), "display_name")

    assert updated.tenant.display_name == "Acme II"


async def test_names_are_looked_up_when_they_are_used(operator: Client) -> None:
    made = await operator.create(at("http://localhost:1"), test=True)

    # It leads to what is permitted here, where nobody listens.
    assert verdicts(made.connection_test) == [FAILED, *[SKIPPED] * 5]


async def test_an_admin_tests_its_own_client_only(operator: Client, keys: Keys, at_desk: Tenant) -> None:
    await operator.create(at_desk)
    admin = Client(operator.stub, keys.metadata("tenants", tenant="acme", role="admin"))
    stranger = Client(operator.stub, keys.metadata("tenants", tenant="globex", role="admin"))

    assert verdicts(await admin.test_connection("acme"))[0] == OK
    assert (await failure_of(stranger.test_connection("acme"))).reason == "TENANT_NOT_FOUND"
