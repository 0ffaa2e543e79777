"""Taking clients on and finding them again."""

import asyncio

import asyncpg
import grpc
import pytest

from dossier.tenants.v1.tenant_pb2 import (
    TENANT_STATE_ACTIVE,
    TENANT_STATE_SUSPENDED,
    ContextSource,
    Tenant,
)
from tests.support.databases import TestDatabase
from tests.tenants.client import TOOL, Client, tenant
from tests.tenants.failures import failure_of


async def execute(database: TestDatabase, statement: str) -> None:
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute(statement)
    await connection.close()


async def test_a_created_tenant_reads_back_as_it_was_given(operator: Client) -> None:
    created = (await operator.create()).tenant

    assert await operator.get("acme") == created
    assert (created.state, created.etag) == (TENANT_STATE_ACTIVE, "1")
    assert created.create_time.ToSeconds() > 0
    for field in ("state", "create_time", "update_time", "etag", "note", "queue", "revision"):
        created.ClearField(field)
    assert created == tenant()


async def test_output_only_fields_of_a_new_tenant_are_ignored(operator: Client) -> None:
    new = tenant()
    new.state, new.etag = TENANT_STATE_SUSPENDED, "77"

    created = (await operator.create(new)).tenant

    assert (created.state, created.etag) == (TENANT_STATE_ACTIVE, "1")


async def test_the_secrets_of_two_tenants_differ(operator: Client) -> None:
    first, second = await operator.create(), await operator.create(tenant("globex"))

    assert len({first.webhook_secret, second.webhook_secret, first.api_key, second.api_key}) == 4
    assert first.api_key.startswith("dsk_")
    assert min(len(first.webhook_secret), len(first.api_key)) >= 43


async def test_an_id_is_given_once(operator: Client) -> None:
    await operator.create()

    failure = await failure_of(operator.create())

    assert (failure.code, failure.reason) == (grpc.StatusCode.ALREADY_EXISTS, "TENANT_EXISTS")
    assert failure.metadata == {"tenant_id": "acme"}


async def test_a_retry_answers_the_tenant_without_its_secrets(operator: Client, gateway: Client) -> None:
    first = await operator.create(request_id="create-1")

    again = await operator.create(request_id="create-1")

    assert again.tenant == first.tenant
    assert (again.webhook_secret, again.api_key) == ("", "")
    assert [each.value.decode() for each in await gateway.webhook_secrets("acme")] == [first.webhook_secret]


@pytest.mark.parametrize("request_id", ["", "create-2"])
async def test_another_request_for_the_same_id_is_no_retry(operator: Client, request_id: str) -> None:
    await operator.create(request_id="create-1")

    assert (await failure_of(operator.create(request_id=request_id))).reason == "TENANT_EXISTS"


async def test_the_same_request_for_other_settings_is_no_retry(operator: Client) -> None:
    given, same, other = tenant(), tenant(), tenant()
    given.ticketing.options.update({"portal": "ops", "edition": "cloud"})
    same.ticketing.options.update({"edition": "cloud", "portal": "ops"})
    site = {"pages": "https://help.acme.example/vpn", "sitemaps": "https://help.acme.example/sitemap.xml"}
    for each, names in ((given, ("pages", "sitemaps")), (same, ("sitemaps", "pages"))):
        (base,) = each.knowledge_bases
        base.connector, base.base_url = "web", "https://help.acme.example"
        base.options.clear()
        for name in names:
            base.options[name] = site[name]
    other.ticketing.options.update({"portal": "hr", "edition": "cloud"})
    await operator.create(given, request_id="create-1")

    assert (await operator.create(same, request_id="create-1")).tenant.id == "acme"
    assert (await failure_of(operator.create(other, request_id="create-1"))).reason == "TENANT_EXISTS"


async def test_a_retry_counts_for_a_day(operator: Client, database: TestDatabase) -> None:
    await operator.create(request_id="create-1")
    await execute(database, "update tenants.tenants set create_time = now() - interval '24 hours 1 second'")

    assert (await failure_of(operator.create(request_id="create-1"))).reason == "TENANT_EXISTS"


async def test_of_requests_at_the_same_time_one_creates(operator: Client, gateway: Client) -> None:
    answers = await asyncio.gather(*(operator.create(request_id="create-1") for _ in range(5)))

    (secret,) = [each.webhook_secret for each in answers if each.webhook_secret]
    assert [each.value.decode() for each in await gateway.webhook_secrets("acme")] == [secret]


@pytest.mark.parametrize("tool", ["jira", ""])
async def test_a_tool_without_an_adapter_is_refused(operator: Client, tool: str) -> None:
    new = Tenant(id="acme", display_name="Acme")
    if tool:
        new.ticketing.tool = tool

    failure = await failure_of(operator.create(new))

    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOOL_UNKNOWN")
    assert failure.metadata["tool"] == tool
    assert TOOL in failure.metadata["installed"].split(", ")
    assert not (await operator.list_all()).tenants


async def test_an_option_that_no_adapter_reads_is_refused_for_it_may_be_meant_as_a_secret(
    operator: Client, database: TestDatabase
) -> None:
    new = tenant()
    new.ticketing.options["api_key"] = "hush"

    failure = await failure_of(operator.create(new))

    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.fields == ["tenant.ticketing.options.api_key"]
    assert "edition, portal, requests_per_minute, timeout_seconds" in failure.message
    assert "hush" not in failure.message
    assert not (await operator.list_all()).tenants

    # One that is there already does not stop other changes.
    await operator.create()
    await execute(database, 'update tenants.tenants set options = \'{"former": "1"}\'')
    assert (await operator.update("acme", with_name("New"), "display_name")).tenant.display_name == "New"
    assert (await failure_of(operator.update("acme", new, "ticketing"))).fields == failure.fields


def with_name(name: str) -> Tenant:
    changed = tenant()
    changed.display_name = name
    return changed


def with_id(tenant_id: str) -> Tenant:
    return tenant(tenant_id)


def with_sources(*names: str) -> Tenant:
    changed = tenant()
    del changed.sources[:]
    changed.sources.extend(ContextSource(name=name, target="a:1") for name in names)
    return changed


@pytest.mark.parametrize(
    "broken",
    [
        with_id(""),
        with_id("Acme"),
        with_id("acme/b"),
        with_name(""),
        with_name("a\0b"),
        with_sources("monitoring", "monitoring"),
        with_sources("history"),
    ],
)
async def test_a_tenant_that_breaks_a_rule_is_refused(operator: Client, broken: Tenant) -> None:
    assert (await failure_of(operator.create(broken))).code is grpc.StatusCode.INVALID_ARGUMENT
    assert not (await operator.list_all()).tenants


async def test_tenants_are_listed_by_id_page_by_page(operator: Client) -> None:
    for name in ("c", "a", "b-1", "b", "d"):
        await operator.create(tenant(name))

    pages = [await operator.list_all(page_size=2)]
    while pages[-1].next_page_token:
        pages.append(await operator.list_all(page_size=2, page_token=pages[-1].next_page_token))

    assert [[each.id for each in page.tenants] for page in pages] == [["a", "b"], ["b-1", "c"], ["d"]]


async def test_a_page_token_of_another_list_is_refused(operator: Client) -> None:
    failure = await failure_of(operator.list_all(page_token="bm90IGEgdG9rZW4"))

    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", ["nobody", "no\0body", "ACME"])
async def test_an_unknown_tenant_is_not_found(operator: Client, name: str) -> None:
    await operator.create()

    failure = await failure_of(operator.get(name))

    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND")
    assert failure.metadata == {"tenant_id": name}
