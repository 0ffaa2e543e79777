"""API keys for all clients, and the log of the operator's own."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import grpc
import pytest

from dossier.tenants.v1 import api_key_pb2
from services.tenants.model import Secret
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.tenants.client import Client
from tests.tenants.failures import failure_of
from tests.tenants.test_access import EVERY_CALL, NOT_FOR_ONE_CLIENT

MIGRATION = (
    Path(__file__).parents[2] / "services/tenants/migrations/0006_create_operator_keys.sql"
).read_text()
STAFF_ROLES = [api_key_pb2.ROLE_OPERATOR, api_key_pb2.ROLE_TECHNICIAN, api_key_pb2.ROLE_VIEWER]


async def execute(database: TestDatabase, statement: str) -> None:
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("role", STAFF_ROLES)
async def test_a_key_is_of_no_client_and_has_its_role(
    operator: Client, gateway: Client, role: "api_key_pb2.Role.ValueType"
) -> None:
    made = await operator.create_operator_key(role, display_name="night shift")

    holder = await gateway.authenticate(made.api_key)

    assert made.api_key.startswith("dsk_")
    assert (holder.tenant_id, holder.role, holder.key_id) == ("", role, made.key.id)
    [kept] = await operator.operator_keys()
    assert (kept.id, kept.role, kept.display_name) == (made.key.id, role, "night shift")
    assert kept.HasField("last_used_time")


@pytest.mark.parametrize("role", [api_key_pb2.ROLE_ADMIN, api_key_pb2.ROLE_UNSPECIFIED])
async def test_nobody_is_the_administrator_of_all_clients(
    operator: Client, role: "api_key_pb2.Role.ValueType"
) -> None:
    failure = await failure_of(operator.create_operator_key(role))

    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert await operator.operator_keys() == []


async def test_a_client_has_no_key_for_all_of_them(operator: Client) -> None:
    await operator.create()

    failure = await failure_of(operator.create_key("acme", api_key_pb2.ROLE_OPERATOR))

    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_revoked_key_is_no_good_and_stays_revoked(operator: Client, gateway: Client) -> None:
    made = await operator.create_operator_key()

    revoked = await operator.revoke_operator_key(made.key.id)

    assert revoked.HasField("revoke_time")
    assert (await failure_of(gateway.authenticate(made.api_key))).reason == "API_KEY_INVALID"
    assert await operator.revoke_operator_key(made.key.id) == revoked
    assert [event.action for event in await operator.operator_events()] == [
        "CreateOperatorKey",
        "RevokeOperatorKey",
    ]


async def test_a_key_expires(operator: Client, gateway: Client, database: TestDatabase) -> None:
    made = await operator.create_operator_key(expire_time=datetime.now(UTC) + timedelta(hours=1))
    assert (await gateway.authenticate(made.api_key)).key_id == made.key.id

    await execute(database, "update tenants.api_keys set expire_time = now()")

    assert (await failure_of(gateway.authenticate(made.api_key))).reason == "API_KEY_INVALID"


async def test_a_suspended_client_takes_no_key_of_the_operators_along(
    operator: Client, gateway: Client
) -> None:
    await operator.create()
    made = await operator.create_operator_key()

    await operator.suspend("acme")

    assert (await gateway.authenticate(made.api_key)).tenant_id == ""


async def test_a_repeated_request_makes_one_key_which_is_shown_once(operator: Client) -> None:
    first = await operator.create_operator_key(request_id="r1")

    again = await operator.create_operator_key(request_id="r1")

    assert (again.api_key, again.key) == ("", first.key)
    assert len(await operator.operator_keys()) == 1


async def test_clients_and_the_operator_do_not_reach_each_others_keys(operator: Client) -> None:
    """The same operator asks, by the id that is right elsewhere."""
    await operator.create()
    [of_acme] = await operator.keys("acme")
    of_operator = (await operator.create_operator_key()).key

    for call in (operator.revoke("acme", of_operator.id), operator.revoke_operator_key(of_acme.id)):
        assert (await failure_of(call)).reason == "API_KEY_NOT_FOUND"
    assert [key.id for key in await operator.keys("acme")] == [of_acme.id]
    assert [key.id for key in await operator.operator_keys()] == [of_operator.id]


async def test_the_operators_name_among_clients_is_nobodys(operator: Client) -> None:
    await operator.create_operator_key()

    for call in (
        operator.get("-"),
        operator.keys("-"),
        operator.events("-"),
        operator.verify("-"),
        operator.create_key("-"),
        operator.suspend("-"),
    ):
        assert (await failure_of(call)).reason == "TENANT_NOT_FOUND"


async def test_keys_come_page_by_page(operator: Client) -> None:
    made = [(await operator.create_operator_key()).key.id for _ in range(3)]

    first = await operator.operator_keys_page(page_size=2)
    second = await operator.operator_keys_page(page_size=2, page_token=first.next_page_token)

    assert [key.id for page in (first, second) for key in page.keys] == made[::-1]
    assert not second.next_page_token


async def test_there_are_so_many_good_keys_and_no_more(operator: Client) -> None:
    made = await asyncio.gather(*(operator.create_operator_key() for _ in range(100)))

    failure = await failure_of(operator.create_operator_key())

    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_API_KEYS")
    await operator.revoke_operator_key(made[0].key.id)
    await operator.create_operator_key()
    # All at once, and none of them lost or out of place.
    assert (await operator.verify_operator_log()).broken_at == 0
    assert (await operator.verify_operator_log()).events == 102


@pytest.mark.parametrize("rpc", sorted(NOT_FOR_ONE_CLIENT))
@pytest.mark.parametrize("role", ["operator", "admin", "technician", "viewer", "service"])
async def test_only_operators_who_act_for_no_client_may(
    operator: Client, keys: Keys, rpc: str, role: str
) -> None:
    for tenant in (None, "acme"):
        caller = Client(operator.stub, keys.metadata("tenants", tenant=tenant, role=role, subject="gateway"))
        try:
            await EVERY_CALL[rpc](caller)
            reason = ""
        except grpc.aio.AioRpcError as error:
            failure = await failure_of(_raised(error))
            reason = failure.reason
        expected = ("", "API_KEY_NOT_FOUND") if tenant is None else ("TENANT_CONFINED",)
        assert reason in (expected if role == "operator" else ("ROLE_REQUIRED",)), (tenant, reason)


async def _raised(error: Exception) -> None:
    raise error


async def test_an_operators_token_for_one_client_gets_no_key_for_all(operator: Client, keys: Keys) -> None:
    confined = Client(operator.stub, keys.metadata("tenants", tenant="acme", role="operator"))

    failure = await failure_of(confined.create_operator_key())

    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "TENANT_CONFINED")
    assert failure.metadata == {"tenant_id": "acme"}
    assert await operator.operator_keys() == []


async def test_the_log_says_who_made_which_key_and_never_the_key(operator: Client, keys: Keys) -> None:
    jo = Client(
        operator.stub,
        keys.metadata("tenants", tenant=None, role="operator", subject="gateway", on_behalf_of="jo"),
    )

    made = await jo.create_operator_key(api_key_pb2.ROLE_VIEWER, display_name="wall board")

    [event] = await operator.operator_events()
    assert (event.principal, event.subject, event.role) == ("jo", "gateway", "operator")
    assert (event.action, event.resource) == ("CreateOperatorKey", f"operator_keys/{made.key.id}")
    assert [(each.field, each.after) for each in event.changes] == [
        ("role", '"viewer"'),
        ("display_name", '"wall board"'),
    ]
    assert made.api_key not in str(event)


@pytest.mark.parametrize(
    ("forge", "broken_at"),
    [
        ("update tenants.audit_events set principal = 'somebody else' where sequence = 2", 2),
        ("delete from tenants.audit_events where sequence = 1", 1),
    ],
)
async def test_a_forged_log_is_found_out(
    operator: Client, database: TestDatabase, forge: str, broken_at: int
) -> None:
    for _ in range(3):
        await operator.create_operator_key()
    whole = await operator.verify_operator_log()
    assert (whole.events, whole.broken_at) == (3, 0)

    await execute(database, forge)

    assert (await operator.verify_operator_log()).broken_at == broken_at


async def test_a_log_that_was_cut_is_found_out_by_a_hash_noted_before(
    operator: Client, database: TestDatabase
) -> None:
    await operator.create_operator_key()
    await operator.create_operator_key()
    head = (await operator.verify_operator_log()).head_hash
    assert (await operator.verify_operator_log(known_hash=head)).known_hash_found

    await execute(database, "delete from tenants.audit_events where sequence = 2")

    found = await operator.verify_operator_log(known_hash=head)
    assert (found.broken_at, found.known_hash_found) == (0, False)


async def test_events_come_page_by_page(operator: Client) -> None:
    for _ in range(3):
        await operator.create_operator_key()

    first = await operator.operator_events_page(page_size=2)
    second = await operator.operator_events_page(page_size=2, page_token=first.next_page_token)

    assert [event.sequence for page in (first, second) for event in page.events] == [1, 2, 3]
    assert not second.next_page_token


async def test_a_clients_log_does_not_tell_of_the_operators_keys(operator: Client) -> None:
    await operator.create()

    await operator.create_operator_key()

    assert [event.action for event in await operator.events("acme")] == ["CreateTenant"]


async def test_keys_that_were_made_by_hand_before_the_migration_go_on_to_count(
    gateway: Client, operator: Client, database: TestDatabase
) -> None:
    await operator.create()
    back, forth = (MIGRATION.partition(marker)[2] for marker in ("-- migrate:down", "-- migrate:up"))
    await execute(database, back)
    key = Secret.api_key()
    digest = key.digest().hex()
    await execute(
        database,
        "insert into tenants.api_keys (key_id, role, hash) "  # noqa: S608 - of its own making
        f"values ('by-hand', 'operator', '\\x{digest}')",
    )

    await execute(database, forth.partition("-- migrate:down")[0])

    holder = await gateway.authenticate(key.reveal().decode())
    assert (holder.key_id, holder.tenant_id, holder.role) == ("by-hand", "", api_key_pb2.ROLE_OPERATOR)
    assert [each.id for each in await operator.operator_keys()] == ["by-hand"]
    assert len(await operator.keys("acme")) == 1


@pytest.mark.parametrize(
    ("tenant", "role"), [("-", "admin"), ("acme", "operator"), (None, "operator"), ("nobody", "viewer")]
)
async def test_the_database_keeps_no_key_that_the_service_would_not_make(
    operator: Client, database: TestDatabase, tenant: str | None, role: str
) -> None:
    await operator.create()
    connection = await asyncpg.connect(database.admin_url)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await connection.execute(
            "insert into tenants.api_keys (key_id, tenant_id, role, hash) values ('k', $1, $2, '\\x00')",
            tenant,
            role,
        )
    await connection.close()
