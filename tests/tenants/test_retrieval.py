"""How a client is searched, and how good that was found to be: what is kept of it, and for whom."""

from collections.abc import Callable

import grpc
import pytest

from dossier.tenants.v1.retrieval_pb2 import (
    EvaluatedKind,
    RankingSettings,
    RetrievalEvaluation,
    RetrievalMeasure,
    RetrievalSettings,
)
from dossier.tenants.v1.tenant_pb2 import Tenant
from tests.support.keys import Keys
from tests.tenants.client import Client, measured, tenant
from tests.tenants.failures import failure_of

TUNED = Tenant(
    retrieval=RetrievalSettings(
        tickets=RankingSettings(meaning_share=0, floor=0.25), articles=RankingSettings(meaning_share=0.9)
    )
)


@pytest.fixture
def history(operator: Client, keys: Keys) -> Client:
    return Client(operator.stub, keys.metadata("tenants", subject="history", role="service"))


@pytest.fixture
def as_role(operator: Client, keys: Keys) -> Callable[[str], Client]:
    """Somebody of acme's own."""
    return lambda role: Client(
        operator.stub, keys.metadata("tenants", tenant="acme", role=role, subject="gateway")
    )


async def test_a_clients_own_admin_changes_how_it_is_searched(
    operator: Client, as_role: Callable[[str], Client]
) -> None:
    before = (await operator.create()).tenant
    assert not before.HasField("retrieval")

    updated = await as_role("admin").update("acme", TUNED, "retrieval")

    assert updated.tenant.retrieval == (await operator.get("acme")).retrieval == TUNED.retrieval
    assert updated.tenant.revision == before.revision + 1
    assert [(each.field, each.before, each.after) for each in updated.changes] == [
        ("retrieval.articles.meaning_share", "", "0.9"),
        ("retrieval.tickets.floor", "", "0.25"),
        ("retrieval.tickets.meaning_share", "", "0.0"),
    ]
    assert (await operator.events("acme"))[-1].changes == updated.changes


async def test_what_is_taken_away_is_as_calibrated_again(operator: Client) -> None:
    new = tenant()
    new.MergeFrom(TUNED)
    await operator.create(new)

    one = (await operator.update("acme", Tenant(), "retrieval.tickets.floor")).tenant
    assert one.retrieval.tickets == RankingSettings(meaning_share=0)
    assert one.retrieval.articles == TUNED.retrieval.articles

    assert not (await operator.update("acme", Tenant(), "retrieval")).tenant.HasField("retrieval")


@pytest.mark.parametrize(("share", "floor"), [(-0.1, 0.2), (1.1, 0.2), (float("nan"), 0.2), (0.5, 1.01)])
async def test_a_wrong_weight_is_refused_by_its_name(operator: Client, share: float, floor: float) -> None:
    await operator.create()
    wrong = RetrievalSettings(articles=RankingSettings(meaning_share=share, floor=floor))

    failure = await failure_of(operator.update("acme", Tenant(retrieval=wrong), "retrieval.articles"))

    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    name = "floor" if floor > 1 else "meaning_share"
    assert failure.fields == [f"tenant.retrieval.articles.{name}"]


async def test_those_that_are_not_as_calibrated_are_listed_page_by_page(
    operator: Client, history: Client
) -> None:
    for name in ("acme", "globex", "initech", "umbrella"):
        await operator.create(tenant(name))
    await operator.update("umbrella", TUNED, "retrieval.articles")
    await operator.update("acme", TUNED, "retrieval.tickets.floor")
    await operator.update("globex", TUNED, "retrieval")
    await operator.update("globex", Tenant(), "retrieval")

    first = await history.retrieval_settings(page_size=1)
    second = await history.retrieval_settings(page_size=1, page_token=first.next_page_token)

    assert [(each.tenant_id, each.retrieval) for page in (first, second) for each in page.tenants] == [
        ("acme", RetrievalSettings(tickets=RankingSettings(floor=0.25))),
        ("umbrella", RetrievalSettings(articles=RankingSettings(meaning_share=0.9))),
    ]
    assert second.next_page_token == ""


async def test_evaluations_are_kept_and_listed_the_latest_first(
    operator: Client, as_role: Callable[[str], Client]
) -> None:
    await operator.create()
    kept = [await operator.record_evaluation("acme", measured(query_count=count)) for count in (1, 2, 3)]

    viewer = as_role("viewer")
    first = await viewer.evaluations("acme", page_size=2)
    second = await viewer.evaluations("acme", page_size=2, page_token=first.next_page_token)

    assert [*first.evaluations, *second.evaluations] == kept[::-1]
    assert second.next_page_token == ""
    assert [each.query_count for each in kept] == [1, 2, 3]
    assert kept[0].id
    assert kept[0].HasField("create_time")
    assert kept[0].measures[0] == RetrievalMeasure(name="ndcg_at_10", mean=0.7, low=0.6, high=0.8)


async def test_the_same_request_is_kept_once(operator: Client) -> None:
    await operator.create()

    first = await operator.record_evaluation("acme", request_id="tonight")
    again = await operator.record_evaluation("acme", request_id="tonight")
    other = await operator.record_evaluation("acme", request_id="tomorrow")

    assert first == again
    assert [each.id for each in (await operator.evaluations("acme")).evaluations] == [other.id, first.id]
    recorded = [each for each in await operator.events("acme") if each.action == "RecordRetrievalEvaluation"]
    assert [each.resource for each in recorded] == [
        f"retrieval_evaluations/{first.id}",
        f"retrieval_evaluations/{other.id}",
    ]


async def test_the_audit_event_tells_the_means_also_those_of_nothing(operator: Client) -> None:
    await operator.create()
    nothing = RetrievalMeasure(name="p_at_1", mean=0, low=0, high=0.1)

    await operator.record_evaluation("acme", measured(measures=[nothing]))

    event = (await operator.events("acme"))[-1]
    assert event.action == "RecordRetrievalEvaluation"
    assert [(each.field, each.before, each.after) for each in event.changes] == [
        ("kind", "", '"tickets"'),
        ("basis", "", '"own_tickets"'),
        ("query_count", "", "120"),
        ("meaning_share", "", "0.5"),
        ("floor", "", "0.2"),
        ("measures.ndcg_at_10", "", "0.7"),
        ("measures.p_at_1", "", "0.0"),
    ]


async def test_the_latest_200_of_a_client_are_kept(operator: Client) -> None:
    await operator.create()
    await operator.create(tenant("globex"))
    other = await operator.record_evaluation("globex")
    kept = [await operator.record_evaluation("acme", measured(query_count=count)) for count in range(1, 203)]

    listed = (await operator.evaluations("acme", page_size=200)).evaluations

    assert [each.id for each in listed] == [each.id for each in kept[:1:-1]]
    assert len(listed) == 200
    assert not (await operator.evaluations("acme", page_size=200)).next_page_token
    assert [each.id for each in (await operator.evaluations("globex")).evaluations] == [other.id]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (measured(kind=EvaluatedKind.ValueType(9)), "evaluation.kind"),
        (measured(query_count=1_000_001), "evaluation.query_count"),
        (measured(measures=[RetrievalMeasure(name="map", mean=1.5)]), "evaluation.measures[1].mean"),
        (measured(measures=[RetrievalMeasure(name="ndcg_at_10")]), "evaluation.measures"),
    ],
)
async def test_an_evaluation_that_is_none_is_refused_by_its_field(
    operator: Client, wrong: RetrievalEvaluation, field: str
) -> None:
    await operator.create()

    failure = await failure_of(operator.record_evaluation("acme", wrong))

    assert (failure.code, failure.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])
    assert not (await operator.evaluations("acme")).evaluations


async def test_a_page_token_of_nobodys_is_refused(operator: Client) -> None:
    await operator.create()

    failure = await failure_of(operator.evaluations("acme", page_token="bm9uZQ"))

    assert (failure.code, failure.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["page_token"])
