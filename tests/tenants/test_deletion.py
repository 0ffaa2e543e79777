"""A deletion as the tenants service alone does it, while nobody else can be reached."""

import asyncio
import io
import zipfile

import asyncpg
import grpc
import pytest

from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_deletion_pb2 import DELETION_STATE_ERASING, TenantDeletion
from dossier.tenants.v1.tenant_pb2 import TENANT_STATE_DELETING, Tenant
from tests.support.databases import TestDatabase
from tests.tenants.client import Client, tenant
from tests.tenants.failures import failure_of

OTHERS = {"orchestrator", "history", "knowledge", "network", "synthesis"}


async def waiting(operator: Client, begun: TenantDeletion) -> TenantDeletion:
    """As it is when it has been at every store once."""
    for _ in range(400):
        deletion = await operator.deletion(begun.id)
        if deletion.stores:
            return deletion
        await asyncio.sleep(0.05)
    raise AssertionError("it has been nowhere yet")


def awaited(deletion: TenantDeletion) -> set[str]:
    return {store.name for store in deletion.stores if store.awaited}


async def test_whoever_cannot_be_reached_is_waited_for_and_named(operator: Client) -> None:
    await operator.create()
    await operator.record_evaluation("acme")

    deletion = await waiting(operator, await operator.delete("acme"))

    assert awaited(deletion) == OTHERS
    assert deletion.state == DELETION_STATE_ERASING
    (own,) = [store for store in deletion.stores if store.name == "tenants"]
    removed = {table.name: table.removed for table in own.tables}
    assert removed == {
        "api_keys": 1,
        "audit_anchors": 0,
        "audit_events": 3,
        "retrieval_evaluations": 1,
        "secrets": 2,
    }
    assert (deletion.audit_events, len(deletion.audit_head_hash)) == (3, 64)


async def test_from_the_first_moment_it_is_not_served(
    operator: Client, gateway: Client, orchestrator: Client
) -> None:
    made = await operator.create()
    await operator.delete("acme")

    assert (await operator.get("acme")).state == TENANT_STATE_DELETING
    assert await gateway.webhook_secrets("acme") == []
    assert (await failure_of(gateway.authenticate(made.api_key))).reason == "API_KEY_INVALID"
    assert (await failure_of(orchestrator.ticketing_access())).reason == "TENANT_SUSPENDED"


@pytest.mark.parametrize("change", ["suspend", "resume", "rotate", "create_key"])
async def test_what_is_on_its_way_out_is_not_changed_any_more(operator: Client, change: str) -> None:
    await operator.create()
    await operator.delete("acme")

    refused = await failure_of(getattr(operator, change)("acme"))

    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TENANT_DELETING")
    assert refused.metadata == {"tenant_id": "acme"}
    update = operator.update("acme", Tenant(display_name="Acme"), "display_name")
    assert (await failure_of(update)).reason == "TENANT_DELETING"
    assert (await failure_of(operator.export("acme"))).reason == "TENANT_DELETING"
    assert (await failure_of(operator.create())).reason == "TENANT_DELETING"


async def test_it_is_begun_once(operator: Client) -> None:
    await operator.create()

    first, second = await asyncio.gather(operator.delete("acme"), operator.delete("acme"))

    assert first.id == second.id
    assert len((await operator.deletions()).deletions) == 1
    assert (await failure_of(operator.delete("globex"))).reason == "TENANT_NOT_FOUND"


async def test_a_preview_changes_nothing(operator: Client) -> None:
    await operator.create()
    before = await operator.get("acme")

    preview = await operator.delete("acme", validate_only=True)

    assert (preview.id, preview.tenant_id, awaited(preview)) == ("", "acme", OTHERS)
    assert await operator.get("acme") == before
    assert not (await operator.deletions()).deletions
    assert (await failure_of(operator.delete("globex", validate_only=True))).reason == "TENANT_NOT_FOUND"


async def test_deletions_come_page_by_page(operator: Client) -> None:
    begun = []
    for name in ("acme", "globex", "initech"):
        await operator.create(tenant(name))
        begun.append((await operator.delete(name)).id)

    first = await operator.deletions(page_size=2)
    second = await operator.deletions(page_size=2, page_token=first.next_page_token)

    assert [each.id for page in (first, second) for each in page.deletions] == begun[::-1]
    assert not second.next_page_token


async def test_an_export_without_all_of_it_fails_and_has_no_end(operator: Client) -> None:
    await operator.create()
    parts = io.BytesIO()

    async def export() -> None:
        request = pb.ExportTenantRequest(tenant_id="acme")
        async for part in operator.stub.ExportTenant(request, metadata=operator.metadata):
            parts.write(part.archive)

    failure = await failure_of(export())

    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
    assert failure.metadata == {"dependency": "orchestrator"}
    assert parts.getbuffer().nbytes > 0
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(parts)


async def test_the_record_stays_what_it_is(operator: Client, database: TestDatabase) -> None:
    await operator.create()
    begun = await operator.delete("acme")
    connection = await asyncpg.connect(database.url("tenants"))
    for statement in (
        "delete from tenants.deletions",
        "update tenants.deletions set principal = 'nobody'",
        "update tenants.deletions set client = 'globex'",
        "update tenants.deletions set audit_head = ''",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()

    kept = await operator.deletion(begun.id)
    assert (kept.tenant_id, kept.principal, kept.audit_head_hash) == ("acme", "cli", begun.audit_head_hash)


async def test_an_id_is_given_again_only_when_everybody_says_that_nothing_is_left(
    operator: Client, database: TestDatabase
) -> None:
    """Nobody can be reached: of an id that is new that does not matter."""
    async with asyncpg.create_pool(database.url("tenants"), min_size=1, max_size=1) as pool:
        await pool.execute(
            "insert into tenants.deletions"
            " (deletion_id, client, principal, subject, request_id, audit_events, audit_head, end_time)"
            " values (gen_random_uuid(), 'acme', 'key-1', 'gateway', 'request-1', 0, '', now())"
        )

    refused = await failure_of(operator.create())

    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
    assert (await failure_of(operator.get("acme"))).reason == "TENANT_NOT_FOUND"
    assert (await failure_of(operator.delete("acme"))).reason == "DEPENDENCY_UNAVAILABLE"
    await operator.create(tenant("globex"))
