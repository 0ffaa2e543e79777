"""A client's own knowledge bases: what is kept of them, what is refused, and who gets their credentials."""

import grpc
import pytest

from dossier.tenants.v1.knowledge_base_pb2 import (
    KNOWLEDGE_BASE_MODE_BOTH,
    KNOWLEDGE_BASE_MODE_SEARCH,
    KNOWLEDGE_BASE_MODE_SYNC,
    KnowledgeBase,
)
from dossier.tenants.v1.tenant_pb2 import Tenant
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.support.leaks import CANARY
from tests.tenants.client import CREDENTIALS, Client, knowledge_base, tenant
from tests.tenants.failures import failure_of
from tests.tenants.test_secrets import everything_kept

OTHER = {"email": "sync@acme.example", "token": f"{CANARY}-other"}


@pytest.fixture
def knowledge(operator: Client, keys: Keys) -> Client:
    """Acting for acme."""
    return Client(operator.stub, keys.metadata("tenants", tenant="acme", subject="knowledge"))


@pytest.fixture
def admin(operator: Client, keys: Keys) -> Client:
    return Client(operator.stub, keys.metadata("tenants", tenant="acme", role="admin", subject="gateway"))


def credentials_by_name(access: object) -> dict[str, dict[str, str]]:
    return {
        each.knowledge_base.name: dict(each.credentials)
        for each in access.knowledge_bases  # type: ignore[attr-defined]
    }


async def test_settings_are_kept_and_the_change_is_told_field_by_field(operator: Client) -> None:
    before = (await operator.create()).tenant
    assert before.knowledge_bases[0].mode == KNOWLEDGE_BASE_MODE_SYNC
    wanted = knowledge_base(mode=KNOWLEDGE_BASE_MODE_BOTH, sync_minutes=30, deadline_ms=2000)
    wanted.options["spaces"] = "IT,OPS"

    updated = await operator.update("acme", Tenant(knowledge_bases=[wanted]), "knowledge_bases")

    assert list(updated.tenant.knowledge_bases) == [wanted]
    assert (await operator.get("acme")).knowledge_bases == updated.tenant.knowledge_bases
    assert {each.field: (each.before, each.after) for each in updated.changes} == {
        "knowledge_bases.wiki.mode": ('"sync"', '"both"'),
        "knowledge_bases.wiki.options.spaces": ('"IT"', '"IT,OPS"'),
        "knowledge_bases.wiki.sync_minutes": ("", "30"),
        "knowledge_bases.wiki.deadline_ms": ("", "2000"),
    }
    assert (await operator.events("acme"))[-1].changes == updated.changes


async def test_where_they_are_is_the_operators_to_say(operator: Client, admin: Client) -> None:
    await operator.create()
    failure = await failure_of(admin.update("acme", Tenant(), "knowledge_bases"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"connector": "abacus"}, "tenant.knowledge_bases[0].connector"),
        ({"base_url": "http://169.254.169.254/wiki"}, "tenant.knowledge_bases[0].base_url"),
        ({"base_url": "http://10.99.0.1/wiki"}, "tenant.knowledge_bases[0].base_url"),
        ({"base_url": "file:///etc/passwd"}, "tenant.knowledge_bases[0].base_url"),
        ({"name": "Wiki"}, "tenant.knowledge_bases[0].name"),
        ({"name": "import"}, "tenant.knowledge_bases[0].name"),
        ({"name": "knowledge_bases"}, "tenant.knowledge_bases[0].name"),
        ({"name": "monitoring"}, "tenant.knowledge_bases"),
        ({"sync_minutes": 1}, "tenant.knowledge_bases[0].sync_minutes"),
        ({"deadline_ms": 10_001}, "tenant.knowledge_bases[0].deadline_ms"),
        ({"mode": 9}, "tenant.knowledge_bases[0].mode"),
    ],
)
async def test_a_wrong_setting_is_refused_by_its_name(
    operator: Client, wrong: dict[str, object], field: str
) -> None:
    await operator.create()
    base = knowledge_base()
    base.MergeFrom(KnowledgeBase(**wrong))  # type: ignore[arg-type]
    failure = await failure_of(operator.update("acme", Tenant(knowledge_bases=[base]), "knowledge_bases"))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.fields == [field]


async def test_what_cannot_be_searched_there_is_synced_alone(operator: Client) -> None:
    await operator.create()
    site = KnowledgeBase(name="site", connector="web", base_url="https://docs.acme.example")
    site.options["pages"] = "vpn.html"
    await operator.update("acme", Tenant(knowledge_bases=[site]), "knowledge_bases")
    for mode in (KNOWLEDGE_BASE_MODE_SEARCH, KNOWLEDGE_BASE_MODE_BOTH):
        site.mode = mode
        failure = await failure_of(operator.update("acme", Tenant(knowledge_bases=[site]), "knowledge_bases"))
        assert failure.fields == ["tenant.knowledge_bases[0].mode"]


async def test_two_of_one_name_and_nine_are_refused(operator: Client) -> None:
    await operator.create()
    for bases in (
        [knowledge_base(), knowledge_base()],
        [knowledge_base(f"wiki{number}") for number in range(9)],
    ):
        failure = await failure_of(operator.update("acme", Tenant(knowledge_bases=bases), "knowledge_bases"))
        assert (failure.code, failure.fields) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            ["tenant.knowledge_bases"],
        )


async def test_an_address_that_was_refused_since_does_not_keep_other_changes_away(operator: Client) -> None:
    private = knowledge_base(base_url="http://10.20.0.1/wiki")
    new = tenant()
    new.ClearField("knowledge_bases")
    new.knowledge_bases.append(private)
    await operator.create(new)
    both = Tenant(knowledge_bases=[private, knowledge_base("second")])
    assert len((await operator.update("acme", both, "knowledge_bases")).tenant.knowledge_bases) == 2


async def test_the_knowledge_service_gets_the_credentials_and_the_database_only_ciphertext(
    operator: Client, knowledge: Client, database: TestDatabase
) -> None:
    await operator.create()
    both = Tenant(knowledge_bases=[knowledge_base(), knowledge_base("second")])
    await operator.update("acme", both, "knowledge_bases")
    assert (await knowledge.knowledge_access()).secret_id == ""

    first = await operator.set_knowledge_credentials("acme")
    assert (await knowledge.knowledge_access()).secret_id == first
    second = await operator.set_knowledge_credentials("acme", "second", OTHER)

    access = await knowledge.knowledge_access()
    assert credentials_by_name(access) == {"wiki": CREDENTIALS, "second": OTHER}
    assert access.secret_id == second != first
    assert CANARY not in await everything_kept(database)
    event = (await operator.events("acme"))[-1]
    assert (event.action, event.resource) == (
        "SetKnowledgeBaseCredentials",
        f"knowledge_base_credentials/second/{second}",
    )
    assert [each.after for each in event.changes] == ['["email","token"]']


async def test_credentials_go_with_their_knowledge_base(operator: Client, knowledge: Client) -> None:
    await operator.create()
    both = Tenant(knowledge_bases=[knowledge_base(), knowledge_base("second")])
    await operator.update("acme", both, "knowledge_bases")
    await operator.set_knowledge_credentials("acme")
    await operator.set_knowledge_credentials("acme", "second", OTHER)

    await operator.update("acme", Tenant(knowledge_bases=[knowledge_base("second")]), "knowledge_bases")
    await operator.update("acme", both, "knowledge_bases")

    assert credentials_by_name(await knowledge.knowledge_access()) == {"wiki": {}, "second": OTHER}


async def test_credentials_are_sealed_again_with_the_current_key(operator: Client, knowledge: Client) -> None:
    await operator.create()
    await operator.set_knowledge_credentials("acme", credentials=OTHER)
    await operator.reencrypt()
    assert credentials_by_name(await knowledge.knowledge_access()) == {"wiki": OTHER}


async def test_credentials_of_nothing_are_refused(operator: Client) -> None:
    await operator.create()
    failure = await failure_of(operator.set_knowledge_credentials("acme", "nobodys"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND")
    assert failure.metadata == {"knowledge_base": "nobodys"}


async def test_those_of_served_clients_are_listed_page_by_page_without_credentials(
    operator: Client, keys: Keys
) -> None:
    for name in ("acme", "globex", "initech", "umbrella"):
        await operator.create(tenant(name))
    await operator.update("globex", Tenant(), "knowledge_bases")
    await operator.suspend("umbrella")
    of_nobody = Client(operator.stub, keys.metadata("tenants", tenant=None, subject="knowledge"))

    first = await of_nobody.knowledge_bases(page_size=1)
    second = await of_nobody.knowledge_bases(page_size=1, page_token=first.next_page_token)

    assert [each.tenant_id for each in (*first.tenants, *second.tenants)] == ["acme", "initech"]
    assert second.next_page_token == ""
    assert list(first.tenants[0].knowledge_bases) == [
        KnowledgeBase(
            name="wiki",
            connector="confluence",
            base_url="https://acme.atlassian.example/wiki",
            options={"spaces": "IT"},
            mode=KNOWLEDGE_BASE_MODE_SYNC,
        )
    ]


async def test_nobody_reads_for_a_suspended_client(operator: Client, knowledge: Client) -> None:
    await operator.create()
    await operator.suspend("acme")
    assert (await failure_of(knowledge.knowledge_access())).reason == "TENANT_SUSPENDED"
