"""What people think of an article moves it, for questions like the one they judged, and back."""

import pytest

from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.article_pb2 import Article
from tests.knowledge.client import Client
from tests.knowledge.test_answers import asks, fill

QUESTION = "Label printer prints empty labels"
BETTER = Article(id="better", source="wiki", title="Label printer prints empty labels", body="Calibrate it.")
WORSE = Article(
    id="worse", source="wiki", title="Label printer prints empty labels", body="Calibrate it with the wizard."
)


async def rate(client: Client, article: Article, **more: object) -> bool:
    fields: dict[str, object] = {"rating_id": "r-1", "revision": 1, "subject": QUESTION, **more}
    request = pb.RateArticleRequest(article_id=article.id, source=article.source, **fields)  # type: ignore[arg-type]
    return (await client.stub.RateArticle(request, metadata=client.metadata)).applied


async def order(client: Client) -> list[tuple[str, list[str], float]]:
    found = await client.search(asks(QUESTION))
    return [(each.article.id, list(each.boosts), each.score) for each in found]


@pytest.fixture
async def clients(acme: Client, globex: Client) -> tuple[Client, Client]:
    for client in (acme, globex):
        await fill(client)
        await client.import_(BETTER, WORSE)
    return acme, globex


async def test_thumbs_turn_the_order_around_and_taken_back_leave_it_exactly_as_it_was(
    clients: tuple[Client, Client],
) -> None:
    acme, globex = clients
    before = await order(acme)
    assert [each[0] for each in before] == ["better", "worse"]

    assert await rate(acme, BETTER, rating_id="r-1", helpful=False)
    assert await rate(acme, WORSE, rating_id="r-2", helpful=True)

    assert [(each[0], each[1]) for each in await order(acme)] == [
        ("worse", ["rated_helpful"]),
        ("better", ["rated_unhelpful"]),
    ]
    assert await order(globex) == before

    assert await rate(acme, BETTER, rating_id="r-1", revision=2)
    assert await rate(acme, WORSE, rating_id="r-2", revision=2)
    assert not await rate(acme, WORSE, rating_id="r-2", helpful=True)
    assert await order(acme) == before


async def test_thumbs_bring_an_article_in_that_the_limit_left_out(clients: tuple[Client, Client]) -> None:
    acme, _ = clients
    only = asks(QUESTION, limit=1)
    assert [each.article.id for each in await acme.search(only)] == ["better"]

    await rate(acme, WORSE, helpful=True)
    await rate(acme, WORSE, rating_id="r-2", helpful=True)

    assert [each.article.id for each in await acme.search(only)] == ["worse"]


async def test_ratings_stay_with_an_article_that_changes_and_go_with_it(
    clients: tuple[Client, Client],
) -> None:
    acme, _ = clients
    await rate(acme, BETTER, helpful=True)
    await acme.record(Article(id="better", source="wiki", title=BETTER.title, body="Calibrate it twice."))
    assert (await order(acme))[0][1] == ["rated_helpful"]

    await acme.delete("better")
    assert not await rate(acme, BETTER, rating_id="r-2", helpful=True)
    await acme.record(BETTER)
    assert {tuple(each[1]) for each in await order(acme)} == {()}
