"""Who may call what, told to everybody else."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import product
from uuid import uuid4

import asyncpg
import grpc
import pytest
from google.protobuf.descriptor_pb2 import MethodOptions

from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_pb2 import Tenant
from dossier.tenants.v1.tenant_service_pb2 import DESCRIPTOR
from services.tenants.access import GRANTS
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.tenants.client import Client, reported, tenant
from tests.tenants.failures import failure_of

EVERY_CALL: dict[str, Callable[[Client], Awaitable[object]]] = {
    "CreateTenant": lambda client: client.create(tenant("new")),
    "GetTenant": lambda client: client.get("acme"),
    "ListTenants": lambda client: client.list_all(),
    "ListWebhookSecrets": lambda client: client.webhook_secrets("acme"),
    "GetTicketingAccess": lambda client: client.ticketing_access(),
    "ListQueueShares": lambda client: client.queue_shares(),
    "ListRetrievalSettings": lambda client: client.retrieval_settings(),
    "RecordRetrievalEvaluation": lambda client: client.record_evaluation("acme"),
    "ListRetrievalEvaluations": lambda client: client.evaluations("acme"),
    "AuthenticateApiKey": lambda client: client.authenticate("dsk_x"),
    "UpdateTenant": lambda client: client.update("acme", Tenant(display_name="Acme"), "display_name"),
    "SuspendTenant": lambda client: client.suspend("acme"),
    "ResumeTenant": lambda client: client.resume("acme"),
    "RotateWebhookSecret": lambda client: client.rotate("acme"),
    "ReencryptSecrets": lambda client: client.reencrypt(),
    "SetTicketingCredentials": lambda client: client.set_credentials("acme", {}),
    "CreateApiKey": lambda client: client.create_key("acme"),
    "ListApiKeys": lambda client: client.keys("acme"),
    "RevokeApiKey": lambda client: client.revoke("acme", str(uuid4())),
    "ListAuditEvents": lambda client: client.events("acme"),
    "VerifyAuditLog": lambda client: client.verify("acme"),
    "DeleteTenant": lambda client: client.delete("acme"),
    "GetTenantDeletion": lambda client: client.deletion(str(uuid4())),
    "ListTenantDeletions": lambda client: client.deletions(),
    "ExportTenant": lambda client: client.export("acme"),
    "TestConnection": lambda client: client.test_connection("acme"),
    "ListWebhookSecretVersions": lambda client: client.secret_versions("acme"),
    "RecordWebhookSecretUses": lambda client: client.record_uses(("acme", "s", datetime.now(UTC))),
    "CreateOperatorKey": lambda client: client.create_operator_key(),
    "ListOperatorKeys": lambda client: client.operator_keys(),
    "RevokeOperatorKey": lambda client: client.revoke_operator_key(str(uuid4())),
    "ListOperatorAuditEvents": lambda client: client.operator_events(),
    "VerifyOperatorAuditLog": lambda client: client.verify_operator_log(),
    "RecordAuditEvents": lambda client: client.report(reported()),
    "SetKnowledgeBaseCredentials": lambda client: client.set_knowledge_credentials("acme"),
    "GetKnowledgeBaseAccess": lambda client: client.knowledge_access(),
    "ListKnowledgeBases": lambda client: client.knowledge_bases(),
}
CALLERS = [
    ("cli", "operator"),
    ("gateway", "service"),
    ("orchestrator", "service"),
    ("history", "service"),
    ("knowledge", "service"),
    ("gateway", "operator"),
    ("gateway", "admin"),
    ("orchestrator", "admin"),
    ("gateway", "technician"),
    ("gateway", "viewer"),
]
"""Each for acme."""
OPERATORS = {("cli", "operator"), ("gateway", "operator")}
NOT_FOR_ONE_CLIENT = {
    "CreateOperatorKey",
    "ListOperatorKeys",
    "RevokeOperatorKey",
    "ListOperatorAuditEvents",
    "VerifyOperatorAuditLog",
}
"""test_operator_keys.py has who may."""
ALLOWED = {
    "CreateTenant": OPERATORS,
    "GetTenant": set(CALLERS),
    "ListTenants": {each for each in CALLERS if each[1] != "service"},
    "ListWebhookSecrets": {("gateway", "service")},
    "GetTicketingAccess": {("orchestrator", "service")},
    "ListQueueShares": {("orchestrator", "service")},
    "ListRetrievalSettings": {("history", "service"), ("knowledge", "service")},
    "GetKnowledgeBaseAccess": {("knowledge", "service")},
    "ListKnowledgeBases": {("knowledge", "service")},
    "ListRetrievalEvaluations": set(CALLERS),
    "AuthenticateApiKey": {("gateway", "service")},
    "RecordWebhookSecretUses": {("gateway", "service")},
    "ReencryptSecrets": OPERATORS,
    **{rpc: set() for rpc in NOT_FOR_ONE_CLIENT},
    "RecordAuditEvents": {("orchestrator", "service"), ("history", "service"), ("knowledge", "service")},
    "SuspendTenant": OPERATORS,
    "ResumeTenant": OPERATORS,
    "DeleteTenant": OPERATORS,
    "GetTenantDeletion": OPERATORS,
    "ListTenantDeletions": OPERATORS,
    **dict.fromkeys(
        (
            "UpdateTenant",
            "RotateWebhookSecret",
            "SetTicketingCredentials",
            "SetKnowledgeBaseCredentials",
            "CreateApiKey",
            "ListApiKeys",
            "RevokeApiKey",
            "ListAuditEvents",
            "VerifyAuditLog",
            "ExportTenant",
            "TestConnection",
            "ListWebhookSecretVersions",
            "RecordRetrievalEvaluation",
        ),
        OPERATORS | {("gateway", "admin"), ("orchestrator", "admin")},
    ),
}
# It takes two keys: test_secrets.py looks at its events. What is used is noted, and no change of a client's.
# What a deletion leaves is no audit log. And others' events are test_reported_events.py's.
ELSEWHERE = {
    *("ReencryptSecrets", "RecordWebhookSecretUses", "DeleteTenant", "RecordAuditEvents"),
    *NOT_FOR_ONE_CLIENT,
}
CHANGES = [
    method.name
    for method in DESCRIPTOR.services_by_name["TenantService"].methods
    if method.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS and method.name not in ELSEWHERE
]


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

    by_role = await failure_of(viewer.reencrypt())
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
    ("role", "bound_to"),
    list(product(["operator", "service", "admin", "technician", "viewer"], ["globex", None])),
)
async def test_a_tenant_is_known_to_its_own_to_operators_and_to_services_that_act_for_nobody(
    operator: Client, keys: Keys, role: str, bound_to: str | None
) -> None:
    await operator.create()
    stranger = Client(operator.stub, keys.metadata("tenants", tenant=bound_to, role=role))

    if role in {"service", "operator"} and bound_to is None:
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


ABOUT_ONE = [
    # A list names nobody: test_clients_are_listed_as_far_as_they_may_be_seen.
    *(rpc for rpc, allowed in ALLOWED.items() if ("gateway", "admin") in allowed and rpc != "ListTenants")
]


@pytest.mark.parametrize("rpc", ABOUT_ONE)
async def test_an_admin_of_another_tenant_is_told_that_there_is_none(
    operator: Client, keys: Keys, rpc: str
) -> None:
    stranger = Client(operator.stub, keys.metadata("tenants", tenant="globex", role="admin"))
    for_none = await failure_of(EVERY_CALL[rpc](stranger))

    await operator.create()
    before = await operator.events("acme")
    for_anothers = await failure_of(EVERY_CALL[rpc](stranger))

    assert for_none == for_anothers
    assert for_anothers.reason == "TENANT_NOT_FOUND"
    assert await operator.events("acme") == before


async def first_part(client: Client) -> None:
    """Of an export; the rest of it takes the other services."""
    request = pb.ExportTenantRequest(tenant_id="acme")
    await anext(aiter(client.stub.ExportTenant(request, metadata=client.metadata)))


@pytest.mark.parametrize("rpc", CHANGES)
async def test_every_change_leaves_one_audit_event(operator: Client, rpc: str) -> None:
    """A changing RPC without a case here, or without an event, fails."""
    if rpc == "CreateTenant":
        made = await operator.create(tenant("new"))
        assert [event.action for event in await operator.events(made.tenant.id)] == [rpc]
        return
    await operator.create()
    if rpc == "ResumeTenant":
        await operator.suspend("acme")
    if rpc == "RevokeApiKey":
        [first] = await operator.keys("acme")
        change: Awaitable[object] = operator.revoke("acme", first.id)
    elif rpc == "ExportTenant":
        change = first_part(operator)
    else:
        change = EVERY_CALL[rpc](operator)
    before = len(await operator.events("acme"))

    await change

    events = await operator.events("acme")
    assert [event.action for event in events[before:]] == [rpc]
    assert (events[-1].principal, events[-1].role) == ("cli", "operator")
    assert events[-1].request_id
    assert await operator.verify("acme") == pb.VerifyAuditLogResponse(
        events=len(events), head_hash=events[-1].hash
    )


async def test_the_services_role_sees_one_tenant_at_a_time(operator: Client, database: TestDatabase) -> None:
    await operator.create()
    await operator.create(tenant("globex"))
    connection = await asyncpg.connect(database.url("tenants"))

    for table in ("tenants", "secrets", "api_keys", "audit_events"):
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


@pytest.mark.parametrize("role", ["operator", "admin", "technician", "viewer"])
async def test_clients_are_listed_as_far_as_they_may_be_seen(operator: Client, keys: Keys, role: str) -> None:
    await operator.create()
    await operator.create(tenant("globex"))

    def listed(bound_to: str | None) -> Client:
        return Client(operator.stub, keys.metadata("tenants", tenant=bound_to, role=role))

    of_one = await listed("globex").list_all()
    of_all = await listed(None).list_all()

    assert ([each.id for each in of_one.tenants], of_one.next_page_token) == (["globex"], "")
    assert [each.id for each in of_all.tenants] == ["acme", "globex"]
