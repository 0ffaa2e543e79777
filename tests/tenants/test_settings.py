"""The settings of briefs, notes and the queue: what may be in them, and who changes them."""

from collections.abc import Callable

import grpc
import pytest

from dossier.orchestrator.v1.queue_pb2 import (
    QUEUE_WEIGHT_PREMIUM,
    QUEUE_WEIGHT_STANDARD,
    QueueWeight,
)
from dossier.synthesis.v1.brief_pb2 import (
    SECTION_KIND_FIRST_STEPS,
    SECTION_KIND_NETWORK,
    SECTION_KIND_UNSPECIFIED,
    SectionKind,
)
from dossier.tenants.v1.tenant_pb2 import (
    NOTE_VISIBILITY_NOT_POSTED,
    NOTE_VISIBILITY_PRIVATE,
    BriefSettings,
    NoteSettings,
    NoteVisibility,
    QueueSettings,
    Tenant,
)
from tests.support.keys import Keys
from tests.tenants.client import Client, tenant
from tests.tenants.failures import failure_of

STEPS_THEN_NETWORK = [SECTION_KIND_FIRST_STEPS, SECTION_KIND_NETWORK]
ALL = Tenant(
    brief=BriefSettings(sections=STEPS_THEN_NETWORK, instructions="Call the users colleagues."),
    note=NoteSettings(visibility=NOTE_VISIBILITY_NOT_POSTED),
    queue=QueueSettings(weight=QUEUE_WEIGHT_PREMIUM, max_in_progress=7),
)
PATHS = ("brief.sections", "brief.instructions", "note.visibility", "queue")


async def test_a_new_client_has_the_defaults(operator: Client) -> None:
    created = (await operator.create()).tenant

    assert list(created.brief.sections) == []
    assert created.brief.instructions == ""
    assert created.note.visibility == NOTE_VISIBILITY_PRIVATE
    assert created.queue == QueueSettings(weight=QUEUE_WEIGHT_STANDARD)
    assert created.revision == 1


async def test_what_is_set_is_kept_and_told_in_the_preview_and_the_audit_log(operator: Client) -> None:
    await operator.create()

    preview = await operator.update("acme", ALL, *PATHS, validate_only=True)
    assert (await operator.get("acme")).note.visibility == NOTE_VISIBILITY_PRIVATE
    updated = await operator.update("acme", ALL, *PATHS)

    kept = await operator.get("acme")
    assert list(kept.brief.sections) == STEPS_THEN_NETWORK
    assert kept.brief.instructions == "Call the users colleagues."
    assert (kept.note, kept.queue) == (ALL.note, ALL.queue)
    assert preview.changes == updated.changes == (await operator.events("acme"))[-1].changes
    assert [(each.field, each.before, each.after) for each in updated.changes] == [
        ("brief.instructions", "", '"Call the users colleagues."'),
        ("brief.sections", "", '["first_steps","network"]'),
        ("note.visibility", '"private"', '"not_posted"'),
        ("queue.max_in_progress", "", "7"),
        ("queue.weight", '"standard"', '"premium"'),
    ]


async def test_a_client_may_be_created_with_them(operator: Client) -> None:
    new = tenant()
    new.MergeFrom(ALL)

    created = (await operator.create(new)).tenant

    assert list(created.brief.sections) == STEPS_THEN_NETWORK
    assert (created.note, created.queue) == (ALL.note, ALL.queue)


async def test_what_is_cleared_is_as_it_was_at_first(operator: Client) -> None:
    before = (await operator.create()).tenant
    await operator.update("acme", ALL, *PATHS)

    after = (await operator.update("acme", Tenant(), *PATHS)).tenant

    assert (after.brief, after.note, after.queue) == (before.brief, before.note, before.queue)


@pytest.mark.parametrize(
    ("wrong", "path", "field"),
    [
        (
            Tenant(brief=BriefSettings(sections=[SECTION_KIND_NETWORK, SECTION_KIND_NETWORK])),
            "brief.sections",
            "tenant.brief.sections",
        ),
        (
            Tenant(brief=BriefSettings(sections=[SECTION_KIND_UNSPECIFIED])),
            "brief.sections",
            "tenant.brief.sections[0]",
        ),
        (
            Tenant(brief=BriefSettings(sections=[SectionKind.ValueType(99)])),
            "brief.sections",
            "tenant.brief.sections[0]",
        ),
        (
            Tenant(brief=BriefSettings(instructions="x" * 4001)),
            "brief.instructions",
            "tenant.brief.instructions",
        ),
        (
            Tenant(brief=BriefSettings(instructions="Be brief.\0")),
            "brief.instructions",
            "tenant.brief.instructions",
        ),
        (
            Tenant(note=NoteSettings(visibility=NoteVisibility.ValueType(9))),
            "note.visibility",
            "tenant.note.visibility",
        ),
        (
            Tenant(queue=QueueSettings(weight=QueueWeight.ValueType(9))),
            "queue.weight",
            "tenant.queue.weight",
        ),
        (
            Tenant(queue=QueueSettings(max_in_progress=1001)),
            "queue.max_in_progress",
            "tenant.queue.max_in_progress",
        ),
        (Tenant(queue=QueueSettings(max_in_progress=-1)), "queue", "tenant.queue.max_in_progress"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_wrong_value_is_refused_by_the_fields_name(
    operator: Client, wrong: Tenant, path: str, field: str
) -> None:
    before = (await operator.create()).tenant

    failure = await failure_of(operator.update("acme", wrong, path))

    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.fields == [field]
    assert await operator.get("acme") == before


@pytest.mark.parametrize("path", ["queue", "queue.weight", "queue.max_in_progress"])
async def test_a_clients_own_admin_does_not_change_its_share(
    operator: Client, as_role: Callable[[str], Client], path: str
) -> None:
    before = (await operator.create()).tenant

    failure = await failure_of(as_role("admin").update("acme", ALL, path, "brief.sections"))

    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")
    assert await operator.get("acme") == before


async def test_a_clients_own_admin_changes_how_its_briefs_are(
    operator: Client, as_role: Callable[[str], Client]
) -> None:
    await operator.create()

    after = (await as_role("admin").update("acme", ALL, "brief.sections", "note")).tenant

    assert list(after.brief.sections) == STEPS_THEN_NETWORK
    assert after.note.visibility == NOTE_VISIBILITY_NOT_POSTED


async def test_a_revision_counts_what_settings_there_were_and_nothing_else(operator: Client) -> None:
    await operator.create()
    await operator.suspend("acme")
    await operator.resume("acme")
    await operator.rotate("acme")
    await operator.update("acme", Tenant(display_name="Acme Freight"), "display_name")
    assert (await operator.get("acme")).revision == 1

    await operator.update("acme", ALL, *PATHS)

    assert (await operator.get("acme")).revision == 2


async def test_the_shares_that_are_not_the_usual_one_are_listed_page_by_page(
    operator: Client, orchestrator: Client
) -> None:
    for name in ("acme", "globex", "initech", "umbrella"):
        await operator.create(tenant(name))
    await operator.update("umbrella", ALL, "queue.weight")
    await operator.update("acme", ALL, "queue.max_in_progress")
    await operator.update("globex", ALL, "queue")
    await operator.update("globex", Tenant(), "queue")

    first = await orchestrator.queue_shares(page_size=1)
    second = await orchestrator.queue_shares(page_size=1, page_token=first.next_page_token)

    assert [(each.tenant_id, each.queue) for page in (first, second) for each in page.shares] == [
        ("acme", QueueSettings(weight=QUEUE_WEIGHT_STANDARD, max_in_progress=7)),
        ("umbrella", QueueSettings(weight=QUEUE_WEIGHT_PREMIUM)),
    ]
    assert second.next_page_token == ""


@pytest.fixture
def as_role(operator: Client, keys: Keys) -> Callable[[str], Client]:
    """Somebody of acme's own."""
    return lambda role: Client(
        operator.stub, keys.metadata("tenants", tenant="acme", role=role, subject="gateway")
    )
