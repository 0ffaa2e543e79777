"""Who may call what, told to everybody else."""

from collections.abc import Awaitable, Callable
from itertools import product

import asyncpg
import grpc
import pytest

from dossier.tenants.v1.tenant_service_pb2 import DESCRIPTOR
from services.tenants.access import GRANTS
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.tenants.client import Client, tenant
from tests.tenants.failures import failure_of

EVERY_CALL: dict[str, Callable[[Client], Awaitable[object]]] = {
    "CreateTenant": lambda client: client.create(tenant("new")),
    "GetTenant": lambda client: client.get("acme"),
    "ListTenants": lambda client: client.list_all(),
    "ListWebhookSecrets": lambda client: client.webhook_secrets("acme"),
    "GetTicketingAccess": lambda client: client.ticketing_access(),
    "AuthenticateApiKey": lambda client: client.authenticate("dsk_x"),
}
CALLERS = [
    ("cli", "operator"),
    ("gateway", "service"),
    ("orchestrator", "service"),
    ("history", "service"),
    ("gateway", "operator"),
    ("gateway", "admin"),
    ("orchestrator", "admin"),
    ("gateway", "technician"),
    ("gateway", "viewer"),
]
ALLOWED = {
    "CreateTenant": {("cli", "operator"), ("gateway", "operator")},
    "GetTenant": set(CALLERS),
    "ListTenants": {("cli", "operator"), ("gateway", "operator")},
    "ListWebhookSecrets": {("gateway", "service")},
    "GetTicketingAccess": {("orchestrator", "service")},
    "AuthenticateApiKey": {("gateway", "service")},
}


def test_every_rpc_of_the_contract_is_granted_to_somebody() -> None:
    methods = {method.name for method in DESCRIPTOR.services_by_name["TenantService"].methods}

    assert methods == set(GRANTS) == set(EVERY_CALL) == set(ALLOWED)


@pytest.mark.parametrize("rpc", EVERY_CALL)
async def test_only_those_it_is_granted_to_may_call(operator: Client, keys: Keys, rpc: str) -> None:
    await operator.create()

    for subject, role in CALLERS:
        metadata = keys.metadata("tenants", tenant="acme", subject=subject, role=role)
        try:
            await EVERY_CALL[rpc](Client(operator.stub, metadata))
            refused = False
        except grpc.aio.AioRpcError as error:
            refused = error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert refused == ((subject, role) not in ALLOWED[rpc]), (subject, role)


async def test_a_refusal_says_what_is_required(operator: Client, keys: Keys) -> None:
    viewer = Client(operator.stub, keys.metadata("tenants", role="viewer"))
    service = Client(operator.stub, keys.metadata("tenants", subject="history"))

    by_role = await failure_of(viewer.list_all())
    by_subject = await failure_of(service.webhook_secrets("acme"))

    assert (by_role.code, by_role.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")
    assert by_role.metadata == {"role": "viewer", "required": "operator"}
    assert by_subject.reason == "ROLE_REQUIRED"
    assert by_subject.metadata == {"subject": "history", "required": "gateway"}


@pytest.mark.parametrize("rpc", EVERY_CALL)
async def test_without_a_token_every_call_is_unauthenticated(operator: Client, rpc: str) -> None:
    failure = await failure_of(EVERY_CALL[rpc](Client(operator.stub, ())))

    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


async def test_access_to_a_tool_needs_a_tenant(operator: Client, keys: Keys) -> None:
    nobody = Client(operator.stub, keys.metadata("tenants", tenant=None, subject="orchestrator"))

    assert (await failure_of(nobody.ticketing_access())).reason == "TENANT_REQUIRED"


@pytest.mark.parametrize(
    ("role", "bound_to"), list(product(["service", "admin", "technician", "viewer"], ["globex", None]))
)
async def test_a_tenant_is_known_to_its_own_to_operators_and_to_services_that_act_for_nobody(
    operator: Client, keys: Keys, role: str, bound_to: str | None
) -> None:
    await operator.create()
    stranger = Client(operator.stub, keys.metadata("tenants", tenant=bound_to, role=role))

    if role == "service" and bound_to is None:
        assert (await stranger.get("acme")).id == "acme"
    else:
        assert (await failure_of(stranger.get("acme"))).reason == "TENANT_NOT_FOUND"


async def test_a_gateway_acting_for_one_tenant_gets_no_other_ones_secrets(
    operator: Client, keys: Keys
) -> None:
    await operator.create()
    await operator.create(tenant("globex"))
    gateway = Client(operator.stub, keys.metadata("tenants", tenant="globex", subject="gateway"))

    assert await gateway.webhook_secrets("acme") == []
    assert len(await gateway.webhook_secrets("globex")) == 1


async def test_the_services_role_sees_one_tenant_at_a_time(operator: Client, database: TestDatabase) -> None:
    await operator.create()
    await operator.create(tenant("globex"))
    connection = await asyncpg.connect(database.url("tenants"))

    for table in ("tenants", "secrets", "api_keys"):
        assert await connection.fetch(f"select * from tenants.{table}") == []  # noqa: S608 - named above
        async with connection.transaction():
            await connection.execute("select set_config('dossier.tenant', 'globex', true)")
            rows = await connection.fetch(f"select tenant_id from tenants.{table}")  # noqa: S608 - named above
        assert {row["tenant_id"] for row in rows} == {"globex"}
    await connection.close()


@pytest.mark.parametrize("function", ["tenants.tenants_after(text, integer)", "tenants.holder_of_key(bytea)"])
async def test_nobody_else_may_look_across_tenants(database: TestDatabase, function: str) -> None:
    connection = await asyncpg.connect(database.admin_url)
    allowed = await connection.fetchval(
        "select array_agg(rolname) from pg_roles"
        " where rolcanlogin and not rolsuper and has_function_privilege(rolname, $1, 'execute')",
        function,
    )
    await connection.close()

    assert allowed == ["dossier_tenants"]
