"""What changes of a client, and what that means to those who rely on it."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import grpc
import pytest

from dossier.tenants.v1 import api_key_pb2
from dossier.tenants.v1.tenant_pb2 import (
    TENANT_STATE_ACTIVE,
    TENANT_STATE_SUSPENDED,
    BriefSettings,
    ContextSource,
    Tenant,
    TicketingConnection,
)
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.support.leaks import CANARY
from tests.tenants.client import Client, tenant
from tests.tenants.failures import failure_of


async def test_what_the_mask_names_changes_and_nothing_else(operator: Client) -> None:
    before = (await operator.create()).tenant

    new = Tenant(display_name="Acme Logistics", brief=BriefSettings(language="de", model="ignored"))
    updated = await operator.update("acme", new, "display_name", "brief.language")

    after = await operator.get("acme")
    assert updated.tenant == after
    assert (after.display_name, after.brief.language) == ("Acme Logistics", "de")
    assert after.etag != before.etag
    assert (before.revision, after.revision) == (1, 2)
    assert after.update_time.ToNanoseconds() > before.update_time.ToNanoseconds()
    for part in (before, after):
        part.ClearField("display_name")
        part.brief.ClearField("language")
        part.ClearField("etag")
        part.ClearField("revision")
        part.ClearField("update_time")
    assert after == before
    assert [(each.field, each.before, each.after) for each in updated.changes] == [
        ("brief.language", '"nl"', '"de"'),
        ("display_name", '"Acme Freight"', '"Acme Logistics"'),
    ]


async def test_what_is_named_and_not_given_is_cleared(operator: Client) -> None:
    await operator.create()

    after = (await operator.update("acme", Tenant(), "sources", "ticketing.options", "brief")).tenant

    assert not after.sources
    assert not after.ticketing.options
    assert after.brief == BriefSettings()
    assert after.ticketing.base_url == "https://desk.acme.example"


async def test_a_preview_says_what_would_change_and_changes_nothing(operator: Client) -> None:
    before = (await operator.create()).tenant

    preview = await operator.update(
        "acme", Tenant(brief=BriefSettings(max_words=100)), "brief.max_words", validate_only=True
    )

    assert [(each.field, each.before, each.after) for each in preview.changes] == [
        ("brief.max_words", "300", "100")
    ]
    assert preview.tenant.brief.max_words == 100
    assert await operator.get("acme") == before
    assert len(await operator.events("acme")) == 1


async def test_what_is_so_already_is_no_change(operator: Client) -> None:
    before = (await operator.create()).tenant

    again = await operator.update("acme", Tenant(display_name="Acme Freight"), "display_name")

    assert not again.changes
    assert again.tenant == before
    assert len(await operator.events("acme")) == 1


async def test_of_two_who_read_the_same_the_second_is_told_to_read_again(operator: Client) -> None:
    read = (await operator.create()).tenant
    await operator.update("acme", Tenant(display_name="First"), "display_name", etag=read.etag)

    late = await failure_of(
        operator.update("acme", Tenant(display_name="Second"), "display_name", etag=read.etag)
    )

    now = await operator.get("acme")
    assert (late.code, late.reason) == (grpc.StatusCode.ABORTED, "TENANT_CHANGED")
    assert late.metadata == {"etag": now.etag}
    assert now.display_name == "First"


async def test_the_etag_counts_within_the_client_as_beside_it(operator: Client) -> None:
    read = (await operator.create()).tenant
    await operator.update("acme", Tenant(display_name="First", etag=read.etag), "display_name")

    late = await failure_of(
        operator.update("acme", Tenant(display_name="Second", etag=read.etag), "display_name")
    )
    both = await failure_of(
        operator.update("acme", Tenant(display_name="Third", etag=read.etag), "display_name", etag="9")
    )

    assert (late.code, late.reason) == (grpc.StatusCode.ABORTED, "TENANT_CHANGED")
    assert both.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "etag is '9', but tenant.etag is '1'" in both.message
    assert (await operator.get("acme")).display_name == "First"


async def test_changes_at_the_same_time_all_count(operator: Client) -> None:
    await operator.create()
    changes = [
        operator.update("acme", Tenant(display_name="Both"), "display_name"),
        operator.update("acme", Tenant(brief=BriefSettings(language="fr")), "brief.language"),
        *(operator.create_key("acme") for _ in range(6)),
    ]

    await asyncio.gather(*changes)

    after = await operator.get("acme")
    assert (after.display_name, after.brief.language) == ("Both", "fr")
    assert [event.sequence for event in await operator.events("acme")] == list(range(1, 10))
    assert not (await operator.verify("acme")).broken_at


@pytest.mark.parametrize(
    ("new", "paths", "reason"),
    [
        (Tenant(), (), "INVALID_ARGUMENT"),
        (Tenant(), ("display_name",), "INVALID_ARGUMENT"),
        (Tenant(id="other"), ("id",), "INVALID_ARGUMENT"),
        (Tenant(state=TENANT_STATE_SUSPENDED), ("state",), "INVALID_ARGUMENT"),
        (Tenant(), ("nonsense",), "INVALID_ARGUMENT"),
        (Tenant(), ("brief.nonsense",), "INVALID_ARGUMENT"),
        (Tenant(brief=BriefSettings(max_words=9)), ("brief.max_words",), "INVALID_ARGUMENT"),
        (Tenant(brief=BriefSettings(model="a\0b")), ("brief.model",), "INVALID_ARGUMENT"),
        (
            Tenant(sources=[ContextSource(name="a", target="a:1"), ContextSource(name="a", target="b:1")]),
            ("sources",),
            "INVALID_ARGUMENT",
        ),
        (
            Tenant(ticketing=TicketingConnection(base_url="ftp://x")),
            ("ticketing.base_url",),
            "INVALID_ARGUMENT",
        ),
        (Tenant(ticketing=TicketingConnection(tool="telepathy")), ("ticketing.tool",), "TOOL_UNKNOWN"),
    ],
)
async def test_settings_that_break_a_rule_are_refused_whole(
    operator: Client, new: Tenant, paths: tuple[str, ...], reason: str
) -> None:
    before = (await operator.create()).tenant

    failure = await failure_of(operator.update("acme", new, *paths))

    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert await operator.get("acme") == before
    assert len(await operator.events("acme")) == 1


async def test_a_suspended_client_is_not_served_until_it_is_resumed(
    operator: Client, gateway: Client, orchestrator: Client
) -> None:
    made = await operator.create()

    assert (await operator.suspend("acme")).state == TENANT_STATE_SUSPENDED

    assert await gateway.webhook_secrets("acme") == []
    assert (await failure_of(gateway.authenticate(made.api_key))).reason == "API_KEY_INVALID"
    assert (await failure_of(orchestrator.ticketing_access())).reason == "TENANT_SUSPENDED"
    assert (await operator.get("acme")).state == TENANT_STATE_SUSPENDED

    assert (await operator.resume("acme")).state == TENANT_STATE_ACTIVE

    assert len(await gateway.webhook_secrets("acme")) == 1
    assert (await gateway.authenticate(made.api_key)).tenant_id == "acme"
    assert (await orchestrator.ticketing_access()).tenant.id == "acme"


async def test_who_is_suspended_already_stays_so_without_another_event(operator: Client) -> None:
    await operator.create()
    first = await operator.suspend("acme")

    assert await operator.suspend("acme") == first
    assert [event.action for event in await operator.events("acme")] == ["CreateTenant", "SuspendTenant"]


async def test_a_rotated_secret_and_the_one_before_both_count(operator: Client, gateway: Client) -> None:
    old = (await operator.create()).webhook_secret

    rotated = await operator.rotate("acme", overlap=timedelta(hours=1))

    secrets = await gateway.webhook_secrets("acme")
    assert [each.value.decode() for each in secrets] == [rotated.webhook_secret, old]
    assert secrets[0].id == rotated.secret_id
    assert secrets[1].expire_time == rotated.previous_expire_time
    left = rotated.previous_expire_time.ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(minutes=58) < left <= timedelta(hours=1)
    assert not secrets[0].HasField("expire_time")


async def test_without_a_word_the_overlap_is_a_day(operator: Client) -> None:
    await operator.create()

    until = (await operator.rotate("acme")).previous_expire_time.ToDatetime(UTC)

    assert timedelta(hours=23) < until - datetime.now(UTC) <= timedelta(hours=24)


async def test_of_three_secrets_the_oldest_is_gone(
    operator: Client, gateway: Client, database: TestDatabase
) -> None:
    await operator.create()
    [first] = await gateway.webhook_secrets("acme")
    rotated = await operator.rotate("acme")
    again = await operator.rotate("acme")
    second, third = rotated.webhook_secret, again.webhook_secret

    assert list(rotated.ended_secret_ids) == []
    assert list(again.ended_secret_ids) == [first.id]
    changes = {change.field: change.before for change in (await operator.events("acme"))[-1].changes}
    assert changes["ended_secret_ids"] == f'["{first.id}"]'
    assert [each.value.decode() for each in await gateway.webhook_secrets("acme")] == [third, second]
    connection = await asyncpg.connect(database.admin_url)
    count = await connection.fetchval("select count(*) from tenants.secrets where kind = 'webhook'")
    await connection.close()
    assert count == 2


async def test_without_an_overlap_the_old_secret_is_gone_at_once(operator: Client, gateway: Client) -> None:
    await operator.create()
    [first] = await gateway.webhook_secrets("acme")

    rotated = await operator.rotate("acme", overlap=timedelta())

    assert list(rotated.ended_secret_ids) == [first.id]
    assert not rotated.HasField("previous_expire_time")
    assert [each.value.decode() for each in await gateway.webhook_secrets("acme")] == [rotated.webhook_secret]


async def test_a_repeated_rotation_answers_the_same_secret_and_leaves_the_one_in_use(
    operator: Client, gateway: Client
) -> None:
    in_use = (await operator.create()).webhook_secret

    rotated = [await operator.rotate("acme", request_id="r-1") for _ in range(3)]

    assert rotated[1:] == rotated[:1] * 2
    secrets = [each.value.decode() for each in await gateway.webhook_secrets("acme")]
    assert secrets == [rotated[0].webhook_secret, in_use]
    assert len(await operator.events("acme")) == 2


async def test_a_rotation_repeated_late_ends_no_secret(operator: Client, gateway: Client) -> None:
    await operator.create()
    first = await operator.rotate("acme", request_id="r-1")
    second = await operator.rotate("acme", request_id="r-2")

    assert (await operator.rotate("acme", request_id="r-1")).webhook_secret == first.webhook_secret
    third = await operator.rotate("acme", request_id="r-3")
    gone = await operator.rotate("acme", request_id="r-1")

    assert (gone.webhook_secret, gone.secret_id) == ("", first.secret_id)
    secrets = [each.value.decode() for each in await gateway.webhook_secrets("acme")]
    assert secrets == [third.webhook_secret, second.webhook_secret]


async def test_after_a_while_a_repeated_rotation_shows_nothing(
    operator: Client, gateway: Client, database: TestDatabase
) -> None:
    await operator.create()
    rotated = await operator.rotate("acme", request_id="r-1")
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute("update tenants.secrets set create_time = create_time - interval '11 minutes'")
    await connection.close()

    again = await operator.rotate("acme", request_id="r-1")

    assert (again.webhook_secret, again.secret_id) == ("", rotated.secret_id)
    assert (await gateway.webhook_secrets("acme"))[0].value.decode() == rotated.webhook_secret


async def test_somebody_elses_request_id_shows_nothing_of_theirs(operator: Client, keys: Keys) -> None:
    await operator.create()
    theirs = await operator.rotate("acme", request_id="r-1")
    admin = Client(operator.stub, keys.metadata("tenants", role="admin", on_behalf_of="key-7"))

    mine = await admin.rotate("acme", request_id="r-1")

    assert mine.webhook_secret != theirs.webhook_secret
    assert (await operator.events("acme"))[-1].principal == "key-7"


async def test_the_same_id_for_another_request_is_another_request(operator: Client, gateway: Client) -> None:
    await operator.create()
    await operator.rotate("acme", request_id="r-1")

    leaked = await operator.rotate("acme", request_id="r-1", overlap=timedelta())

    assert [each.value.decode() for each in await gateway.webhook_secrets("acme")] == [leaked.webhook_secret]
    viewer = await operator.create_key("acme", api_key_pb2.ROLE_VIEWER, request_id="k-1")
    admin = await operator.create_key("acme", api_key_pb2.ROLE_ADMIN, request_id="k-1")
    assert admin.key.id != viewer.key.id
    assert admin.api_key


async def test_a_repeated_creation_makes_no_second_key_and_does_not_show_the_first_again(
    operator: Client,
) -> None:
    await operator.create()

    first = await operator.create_key("acme", request_id="r-1")
    again = await operator.create_key("acme", request_id="r-1")

    assert first.api_key
    assert (again.api_key, again.key) == ("", first.key)
    assert len(await operator.keys("acme")) == 2


async def test_an_update_repeated_with_its_etag_is_no_conflict(operator: Client) -> None:
    read = (await operator.create()).tenant
    new = Tenant(display_name="First")
    first = await operator.update("acme", new, "display_name", etag=read.etag)

    again = await operator.update("acme", new, "display_name", etag=read.etag)

    assert again.tenant == first.tenant
    assert not again.changes


@pytest.mark.parametrize("path", ["ticketing", "ticketing.tool", "ticketing.base_url", "sources"])
async def test_a_clients_admin_does_not_say_where_the_credentials_go(
    operator: Client, keys: Keys, path: str
) -> None:
    before = (await operator.create()).tenant
    admin = Client(operator.stub, keys.metadata("tenants", role="admin"))

    failure = await failure_of(admin.update("acme", Tenant(), path, "brief"))

    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")
    assert await operator.get("acme") == before
    changed = await admin.update("acme", Tenant(), "ticketing.options", "brief")
    assert {change.field.split(".")[0] for change in changed.changes} == {"brief", "ticketing"}


async def test_a_key_in_place_of_its_id_is_not_repeated(operator: Client) -> None:
    made = await operator.create()

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await operator.revoke("acme", made.api_key)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert made.api_key not in f"{refused.value!r} {refused.value.trailing_metadata()}"


async def test_keys_come_page_by_page(operator: Client) -> None:
    await operator.create()
    for _ in range(4):
        await operator.create_key("acme")

    pages = [await operator.keys_page("acme", page_size=2)]
    while pages[-1].next_page_token:
        token = pages[-1].next_page_token
        pages.append(await operator.keys_page("acme", page_size=2, page_token=token))

    assert [len(page.keys) for page in pages] == [2, 2, 1]
    assert [key for page in pages for key in page.keys] == await operator.keys("acme")


async def test_names_have_no_control_characters(operator: Client) -> None:
    await operator.create()

    failure = await failure_of(operator.create_key("acme", display_name="\x1b[2J"))

    assert failure.reason == "INVALID_ARGUMENT"


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=31)])
async def test_an_overlap_has_bounds(operator: Client, overlap: timedelta) -> None:
    await operator.create()

    assert (await failure_of(operator.rotate("acme", overlap=overlap))).reason == "INVALID_ARGUMENT"


async def test_credentials_are_replaced_whole(operator: Client, orchestrator: Client) -> None:
    await operator.create()

    await operator.set_credentials("acme", {"authtoken": f"{CANARY}-new"})
    assert (await orchestrator.ticketing_access()).credentials == {"authtoken": f"{CANARY}-new"}

    await operator.set_credentials("acme", {})
    assert (await orchestrator.ticketing_access()).credentials == {}


async def test_a_key_is_good_for_its_role_until_it_is_revoked(operator: Client, gateway: Client) -> None:
    await operator.create()
    made = await operator.create_key("acme", api_key_pb2.ROLE_TECHNICIAN, display_name="console")

    held = await gateway.authenticate(made.api_key)
    assert (held.tenant_id, held.role, held.key_id) == ("acme", api_key_pb2.ROLE_TECHNICIAN, made.key.id)

    revoked = await operator.revoke("acme", made.key.id)

    assert revoked.HasField("revoke_time")
    assert (await failure_of(gateway.authenticate(made.api_key))).reason == "API_KEY_INVALID"
    assert await operator.revoke("acme", made.key.id) == revoked


async def test_a_key_says_when_it_was_used(operator: Client, gateway: Client) -> None:
    made = await operator.create()
    [unused] = await operator.keys("acme")
    await gateway.authenticate(made.api_key)

    [used] = await operator.keys("acme")

    assert not unused.HasField("last_used_time")
    assert datetime.now(UTC) - used.last_used_time.ToDatetime(UTC) < timedelta(minutes=1)
    await gateway.authenticate(made.api_key)
    assert await operator.keys("acme") == [used]


async def test_a_refused_key_was_not_used(operator: Client, gateway: Client) -> None:
    made = await operator.create()
    await operator.suspend("acme")

    assert (await failure_of(gateway.authenticate(made.api_key))).reason == "API_KEY_INVALID"

    assert not (await operator.keys("acme"))[0].HasField("last_used_time")


async def test_keys_are_listed_newest_first_and_never_themselves(operator: Client) -> None:
    first = await operator.create()
    later = datetime.now(UTC) + timedelta(days=1)
    second = await operator.create_key("acme", display_name="console", expire_time=later)

    keys = await operator.keys("acme")

    assert [key.display_name for key in keys] == ["console", "made with the client"]
    assert keys[0] == second.key
    assert second.key.expire_time.ToDatetime(UTC) == later
    assert first.api_key not in str(keys)
    assert second.api_key not in str(keys)


async def test_a_key_that_expires_in_the_past_or_belongs_to_no_client_is_refused(operator: Client) -> None:
    await operator.create()
    past = datetime.now(UTC) - timedelta(minutes=1)

    assert (await failure_of(operator.create_key("acme", expire_time=past))).reason == "INVALID_ARGUMENT"
    operators = operator.create_key("acme", api_key_pb2.ROLE_OPERATOR)
    assert (await failure_of(operators)).reason == "INVALID_ARGUMENT"


async def test_a_client_has_a_hundred_good_keys_at_most(operator: Client) -> None:
    await operator.create()
    await asyncio.gather(*(operator.create_key("acme") for _ in range(99)))

    failure = await failure_of(operator.create_key("acme"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_API_KEYS")

    await operator.revoke("acme", (await operator.keys("acme"))[0].id)
    await operator.create_key("acme")


async def test_another_clients_key_is_not_found(operator: Client, gateway: Client) -> None:
    theirs = await operator.create()
    await operator.create(tenant("globex"))
    [key] = await operator.keys("acme")

    failure = await failure_of(operator.revoke("globex", key.id))

    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "API_KEY_NOT_FOUND")
    assert (await gateway.authenticate(theirs.api_key)).tenant_id == "acme"


async def test_a_change_by_a_clients_admin_says_who_it_was(operator: Client, keys: Keys) -> None:
    await operator.create()
    token = keys.metadata("tenants", tenant="acme", role="admin", subject="gateway", on_behalf_of="key-7")

    await Client(operator.stub, token).rotate("acme")

    event = (await operator.events("acme"))[-1]
    assert (event.principal, event.subject, event.role) == ("key-7", "gateway", "admin")
