"""Searching by meaning beside words, with the packaged model."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.article_pb2 import Article
from tests.knowledge.client import Client
from tests.knowledge.conftest import running_knowledge, settings_for
from tests.support.databases import TestDatabase
from tests.support.embedder import EmbedderServer, another_model
from tests.support.keys import Keys

ARTICLES = [
    Article(id="print", title="Printer does not print", body="Open tray two and take the jammed paper out."),
    Article(
        id="vpn",
        title="Remote access",
        body="# Tunnel drops\n\nChoose the second gateway.\n\n# Passphrase\n\nAsk the desk for a new one.",
    ),
    Article(id="start", title="Notebook does not start", body="Hold the power button for ten seconds."),
    Article(
        id="phone",
        title="Telephones",
        body="# Voicemail\n\nDial star nine.\n\n# Theft\n\nIf your mobile is lost in a cab, have it wiped.",
    ),
]


def asks(subject: str, **more: object) -> pb.SearchArticlesRequest:
    return pb.SearchArticlesRequest(subject=subject, **more)  # type: ignore[arg-type]


async def embedded(database: TestDatabase, *, seconds: float = 20) -> None:
    """Wait until nothing waits for a vector."""
    admin = await asyncpg.connect(database.admin_url)
    try:
        async with asyncio.timeout(seconds):
            while await admin.fetchval("select count(*) from knowledge.embedding_backlog"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def vectors(database: TestDatabase) -> dict[tuple[str, int], str]:
    """The model of every vector."""
    admin = await asyncpg.connect(database.admin_url)
    try:
        rows = await admin.fetch("select article_id, position, model from knowledge.passage_vectors")
    finally:
        await admin.close()
    return {(row["article_id"], row["position"]): row["model"] for row in rows}


@pytest.fixture
async def by_meaning(
    database: TestDatabase, keys: Keys, embedder: EmbedderServer
) -> AsyncIterator[Callable[[str], Client]]:
    """A service that embeds; called with a tenant's name."""
    async with running_knowledge(settings_for(database, keys, **embedder.settings)) as stub:
        yield lambda tenant: Client(stub, keys.metadata("knowledge", tenant=tenant))


async def test_the_passage_that_answers_without_a_word_in_common_is_found(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*ARTICLES)
    await embedded(database)

    [best, *_] = await acme.search(asks("Somebody stole the smartphone I left in a taxi"))

    assert (best.article.id, best.passage.anchor) == ("phone", "theft")
    assert list(best.matched_terms) == []
    assert best.lexical_score == 0
    assert 0.4 < best.semantic_score < 1
    assert 0 < best.score < best.semantic_score


async def test_an_article_is_also_as_near_as_its_title(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.record(
        Article(id="long", title="How do I pay by card?", body="The terminal stands beside the till. " * 50)
    )
    await embedded(database)
    question = asks("How do I pay by card?", min_score=0)

    [best] = await acme.search(question)
    assert best.semantic_score == pytest.approx(1, abs=0.01)
    assert best.passage.text.startswith("The terminal")

    await acme.record(
        Article(id="long", title="Hints", body="How do I pay by card? Stand beside the till. " * 50)
    )
    await embedded(database)
    [best] = await acme.search(question)
    assert best.semantic_score < 0.95


async def test_words_and_meaning_together_make_the_score(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*ARTICLES)
    await embedded(database)

    [best, *others] = await acme.search(asks("Printer does not print", min_score=0))

    assert best.article.id == "print"
    assert best.lexical_score > 0
    earned = 0.6 * best.lexical_score + 0.85 * best.semantic_score - 0.31
    assert best.score == pytest.approx(min(1, earned), abs=1e-6)
    assert {each.article.id for each in others} == {"vpn", "start", "phone"}
    assert [each.score for each in others] == sorted((each.score for each in others), reverse=True)


async def test_nothing_is_the_answer_when_nothing_answers(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*ARTICLES)
    await embedded(database)

    assert await acme.found("The coffee machine drips", "Water everywhere, call a plumber") == []


async def test_what_changed_is_embedded_again_and_what_is_gone_is_not_found(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*ARTICLES)
    await embedded(database)
    assert await acme.found("Laptop won't turn on") == ["start"]

    await acme.record(
        Article(id="start", title="Badge reader is dead", body="A card that opens no door is to be replaced.")
    )
    await embedded(database)
    assert await acme.found("Laptop won't turn on") == []
    assert await acme.found("Access card is not recognised at the door") == ["start"]

    await acme.delete("start")
    assert await acme.found("Access card is not recognised at the door") == []
    assert {article for article, _ in await vectors(database)} == {"print", "vpn", "phone"}


async def test_every_passage_and_every_title_has_a_vector(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    await by_meaning("acme").import_(*ARTICLES, Article(id="words", title="🙂", body="🙂"))
    await embedded(database)

    assert (await vectors(database)).keys() == {
        *(("print", position) for position in (-1, 0)),
        *(("vpn", position) for position in (-1, 0, 1)),
        *(("start", position) for position in (-1, 0)),
        *(("phone", position) for position in (-1, 0, 1)),
    }


async def test_another_tenants_articles_are_near_to_nobody(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    await by_meaning("acme").import_(*ARTICLES)
    await by_meaning("globex").import_(Article(id="start", title="Badge reader is dead"))
    await embedded(database)

    everything = await by_meaning("globex").search(asks("Notebook does not start", min_score=0, limit=100))

    assert [each.article.title for each in everything] == ["Badge reader is dead"]
    assert everything[0].semantic_score < 0.5


async def test_odd_questions_are_compared_too(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*ARTICLES)
    await embedded(database)

    for odd in ("1234567890 " * 50, "it is what it is", "¿?", "🙂" * 100):
        found = await acme.search(asks(odd, min_score=0))
        assert {each.article.id for each in found} == {each.id for each in ARTICLES}


async def test_without_the_embedder_words_alone_are_compared(
    database: TestDatabase, keys: Keys, embedder: EmbedderServer
) -> None:
    metadata = keys.metadata("knowledge", tenant="acme")
    async with running_knowledge(settings_for(database, keys, **embedder.settings)) as stub:
        await Client(stub, metadata).import_(*ARTICLES)
        await embedded(database)
    settings = settings_for(database, keys, embedding_base_url="http://127.0.0.1:9/v1")
    async with running_knowledge(settings) as stub:
        [best] = await Client(stub, metadata).search(asks("Printer does not print: jammed paper"))
    assert best.article.id == "print"
    assert not best.HasField("semantic_score")
    assert best.score == best.lexical_score


async def test_articles_from_before_the_embedder_are_embedded_when_it_comes(
    database: TestDatabase, keys: Keys, embedder: EmbedderServer
) -> None:
    metadata = keys.metadata("knowledge", tenant="acme")
    async with running_knowledge(settings_for(database, keys)) as stub:
        await Client(stub, metadata).import_(*ARTICLES)
    assert await vectors(database) == {}
    async with running_knowledge(settings_for(database, keys, **embedder.settings)) as stub:
        async with asyncio.timeout(20):
            while len(await vectors(database)) < 10:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await Client(stub, metadata).found("Laptop won't turn on") == ["start"]


async def test_vectors_of_two_models_are_never_compared(
    database: TestDatabase, keys: Keys, embedder: EmbedderServer
) -> None:
    metadata = keys.metadata("knowledge", tenant="acme")
    async with running_knowledge(settings_for(database, keys, **embedder.settings)) as stub:
        await Client(stub, metadata).import_(*ARTICLES)
        await embedded(database)
    admin = await asyncpg.connect(database.admin_url)
    async with another_model([]) as url:
        settings = settings_for(database, keys, embedding_base_url=url, embedding_model="other")
        # Held back, so that the old vectors are all there is.
        await admin.execute(
            "insert into knowledge.embedding_backlog (tenant_id, source, article_id, position, taken_until)"
            " select tenant_id, source, article_id, position, 'infinity' from knowledge.passage_vectors"
        )
        async with running_knowledge(settings) as stub:
            acme = Client(stub, metadata)
            found = await acme.search(asks("Printer does not print", min_score=0))
            assert found
            assert not any(each.HasField("semantic_score") for each in found)
            await admin.execute("update knowledge.embedding_backlog set taken_until = '-infinity'")
            await embedded(database)
            found = await acme.search(asks("Printer does not print", min_score=0))
            assert [each.semantic_score for each in found] == pytest.approx([1.0] * 4, abs=1e-3)
    await admin.close()
    assert set((await vectors(database)).values()) == {"other"}


async def test_replicas_share_the_backlog(database: TestDatabase, keys: Keys) -> None:
    asked: list[int] = []
    articles = [Article(id=str(number), title=f"Matter {number}", body="Of course.") for number in range(100)]
    async with another_model(asked) as url:
        settings = settings_for(database, keys, embedding_base_url=url)
        async with running_knowledge(settings) as stub, running_knowledge(settings):
            await Client(stub, keys.metadata("knowledge", tenant="acme")).import_(*articles)
            await embedded(database)
    assert sum(asked) == 2 * len(articles)
    assert len(await vectors(database)) == 2 * len(articles)


@pytest.mark.parametrize("missing", [-1, 0])
async def test_while_few_are_embedded_words_alone_decide(
    database: TestDatabase, keys: Keys, embedder: EmbedderServer, missing: int
) -> None:
    """Those with a vector would win over better ones without."""
    async with running_knowledge(settings_for(database, keys, **embedder.settings)) as stub:
        acme = Client(stub, keys.metadata("knowledge", tenant="acme"))
        await acme.import_(*ARTICLES, *(Article(id=f"p{n}", title=f"Printer {n}") for n in range(9)))
        await embedded(database)
        question = asks("Printer does not print", min_score=0, limit=20)
        assert all(each.HasField("semantic_score") for each in await acme.search(question))
        admin = await asyncpg.connect(database.admin_url)
        await admin.execute(
            "delete from knowledge.passage_vectors where article_id in ('p1', 'p2') and position = $1",
            missing,
        )
        await admin.close()
        found = await acme.search(question)
    assert found[0].article.id == "print"
    assert len(found) == 10
    assert not any(each.HasField("semantic_score") for each in found)


async def test_an_article_that_is_embedded_in_part_is_found_by_words(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    """Whichever passage has a vector would seem the best."""
    acme = by_meaning("acme")
    await acme.import_(*ARTICLES)
    await embedded(database)
    question = asks("Second gateway")
    [best] = await acme.search(question)
    assert (best.article.id, best.passage.anchor) == ("vpn", "tunnel-drops")
    assert best.HasField("semantic_score")
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute("delete from knowledge.passage_vectors where article_id = 'vpn' and position = 0")
    await admin.close()

    [best] = await acme.search(question)

    assert (best.article.id, best.passage.anchor) == ("vpn", "tunnel-drops")
    assert not best.HasField("semantic_score")


async def test_a_service_that_starts_before_the_migrations_embeds_after_them(
    database: TestDatabase, keys: Keys, embedder: EmbedderServer
) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute("alter schema knowledge rename to later")
    async with running_knowledge(settings_for(database, keys, **embedder.settings)) as stub:
        await asyncio.sleep(0.3)
        await admin.execute("alter schema later rename to knowledge")
        await Client(stub, keys.metadata("knowledge", tenant="acme")).import_(*ARTICLES)
        await embedded(database)
    await admin.close()
    assert len(await vectors(database)) == 10
