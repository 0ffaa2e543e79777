"""Clients' knowledge bases are asked along with their own articles: results, troubles, the cache."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cli.standins.loopback import listening
from dossier.context.v1.evidence_pb2 import (
    SOURCE_STATE_ANSWERED,
    SOURCE_STATE_FAILED,
    SOURCE_STATE_TIMED_OUT,
    SOURCE_STATE_UNAVAILABLE,
)
from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.article_pb2 import Article
from dossier.tenants.v1.knowledge_base_pb2 import (
    KNOWLEDGE_BASE_MODE_BOTH,
    KNOWLEDGE_BASE_MODE_SEARCH,
    KNOWLEDGE_BASE_MODE_SYNC,
)
from knowledgebases.errors import Rejected
from services.knowledge.bases import Base
from services.tenants.redis_keys import RedisKeys
from services.tenants.settings import TenantsSettings
from tests.knowledge.bases import World, running_world, until, with_redis
from tests.knowledge.conftest import running_knowledge
from tests.support.confluence import TOKEN, Confluence, Page, failing, rate_limited
from tests.support.databases import TestDatabase
from tests.support.embedder import EmbedderServer
from tests.support.keys import Keys
from tests.tenants.conftest import key_file, settings

__all__ = ["key_file", "settings"]

VPN = Page(
    "101",
    "Remote access",
    "<p>About the tunnel.</p><h2>Tunnel drops hourly</h2>"
    "<p>Renew the certificate of the <b>concentrator</b>.</p>"
    "<h2>Office</h2><p>Nothing is needed in the office.</p>",
    labels=("vpn",),
)
PRINTER = Page("102", "Printer jams", "<p>Clean the rollers of the printer.</p>")
SECRET_PAGE = Page(
    "103", "Tunnel of HR drops hourly", "<p>Ask HR for the tunnel certificate.</p>", space="HR"
)
QUESTION = "Tunnel drops hourly, certificate?"
FILLERS = [Article(id=f"f{n}", title=f"Filler {n}", body=f"Word{n} stands here alone.") for n in range(30)]
"""So that a word tells something."""
OWN = Article(id="own", title="Tunnel drops hourly", body="Renew the certificate.")


@pytest.fixture
async def confluence() -> Confluence:
    made = Confluence()
    made.put(VPN, PRINTER, SECRET_PAGE)
    return made


@pytest.fixture
async def world(  # noqa: PLR0917 - fixtures
    settings: TenantsSettings,
    database: TestDatabase,
    keys: Keys,
    confluence: Confluence,
    base_url: str,
    redis_url: str,
) -> AsyncIterator[World]:
    async with running_world(
        settings, database, keys, confluence, base_url, **with_redis(redis_url)
    ) as world:
        yield world


async def test_what_a_knowledge_base_knows_is_a_passage_like_any_other(world: World) -> None:
    await world.client().import_(Article(id="own", title="Coffee machine", body="Descale it."))
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)

    answer = await world.searched(QUESTION)

    (found,) = answer.results
    assert (found.article.source, found.article.id, found.article.title) == ("wiki", "101", "Remote access")
    assert found.article.url == f"{world.base_url}/spaces/IT/pages/101"
    assert list(found.article.tags) == ["vpn"]
    assert (found.passage.heading, found.passage.anchor) == ("Tunnel drops hourly", "tunnel-drops-hourly")
    assert found.passage.text == "Renew the certificate of the concentrator."
    assert 0.16 <= found.score <= 1
    assert "certificate" in found.matched_terms
    (report,) = answer.knowledge_bases
    assert (report.source, report.state, report.evidence_count) == ("wiki", SOURCE_STATE_ANSWERED, 1)
    assert await world.titles() == ["Coffee machine"]


async def test_its_scores_are_those_that_ones_own_articles_would_have(world: World) -> None:
    """The same texts kept here and there: the formula is one."""
    same = Article(
        id="same",
        title="Remote access",
        body="About the tunnel.\n\n## Tunnel drops hourly\n\nRenew the certificate of the concentrator."
        "\n\n## Office\n\nNothing is needed in the office.",
    )
    await world.client().import_(*FILLERS, same)
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    both = await world.searched(QUESTION)

    score = {found.article.id: found.score for found in both.results}
    assert score["101"] == pytest.approx(score["same"], rel=0.1)


async def test_with_an_embedder_it_is_compared_by_meaning_too(  # noqa: PLR0917 - fixtures
    settings: TenantsSettings,
    database: TestDatabase,
    keys: Keys,
    confluence: Confluence,
    base_url: str,
    embedder: EmbedderServer,
) -> None:
    confluence.put(Page("104", "Notebook theft", "<p>Have a device that was stolen wiped remotely.</p>"))
    async with running_world(settings, database, keys, confluence, base_url, **embedder.settings) as world:
        await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
        (found,) = (await world.searched("My laptop was stolen")).results
    assert found.article.id == "104"
    assert found.semantic_score > 0.4
    assert found.lexical_score < found.score


async def test_what_was_compared_by_words_alone_is_not_kept_once_meaning_is_back(  # noqa: PLR0917 - fixtures
    settings: TenantsSettings,
    database: TestDatabase,
    keys: Keys,
    confluence: Confluence,
    base_url: str,
    redis_url: str,
) -> None:
    away = True

    async def embeddings(request: Request) -> Response:
        texts = (await request.json())["input"]
        if away and len(texts) > 1:
            # Of a question alone it still told the meaning.
            return JSONResponse({}, status_code=503)
        data = [{"index": number, "embedding": [1.0] * 384} for number in range(len(texts))]
        return JSONResponse({"data": data})

    app = Starlette(routes=[Route("/v1/embeddings", embeddings, methods=["POST"])])
    async with (
        listening(app) as url,
        running_world(
            settings,
            database,
            keys,
            confluence,
            base_url,
            embedding_base_url=f"{url}/v1",
            embedding_model="same",
            **with_redis(redis_url),
        ) as world,
    ):
        await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
        (by_words,) = (await world.searched(QUESTION)).results
        away = False

        async def compares_meaning() -> bool:
            found = (await world.search(QUESTION)).results
            return bool(found) and found[0].semantic_score > 0.9

        await until(compares_meaning, seconds=10)

    assert by_words.semantic_score == 0


async def test_surroundings_are_the_other_passages_of_the_page(world: World) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    await world.searched(QUESTION)
    (found,) = (await world.search(QUESTION, with_surroundings=True)).results
    assert [each.text for each in found.surroundings] == [
        "About the tunnel.",
        "Nothing is needed in the office.",
    ]


async def test_the_floor_and_the_limit_hold_for_it_too(world: World) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    assert (await world.searched(QUESTION)).results
    none = await world.search(QUESTION, min_score=0.99)
    assert not none.results
    assert none.knowledge_bases[0].evidence_count == 0
    many = await world.search("printer tunnel certificate rollers", min_score=0, limit=1)
    assert len(many.results) == 1


async def test_a_page_that_is_kept_as_well_is_found_once(world: World) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_BOTH)
    await world.synced()
    answer = await world.searched(QUESTION)
    assert [found.article.id for found in answer.results] == ["101"]
    assert answer.knowledge_bases[0].evidence_count == 1


async def test_one_that_is_slow_is_left_behind_and_told(world: World, confluence: Confluence) -> None:
    await world.client().import_(*FILLERS, OWN)
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH, deadline_ms=300)
    confluence.faults.append(20.0)

    begun = time.monotonic()
    answer = await world.searched(QUESTION)

    (report,) = answer.knowledge_bases
    assert (report.state, report.detail) == (SOURCE_STATE_TIMED_OUT, "timed out after 0.3 s")
    assert [found.article.id for found in answer.results] == ["own"]
    assert time.monotonic() - begun < 10


async def test_a_slow_page_that_one_client_syncs_times_no_search_of_another_out(
    world: World, confluence: Confluence
) -> None:
    confluence.put(Page("201", "Log", "<p>" + "<i>word</i> " * 400_000, space="HR"))
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH, deadline_ms=4_000)
    await world.searched("warm up")
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC, tenant="globex", options={"spaces": "HR"})

    async def is_read() -> bool:
        return "201" in confluence.bodies_read

    await until(is_read)
    await asyncio.sleep(0.5)
    answer = await world.search(QUESTION)

    assert answer.knowledge_bases[0].state == SOURCE_STATE_ANSWERED
    assert [found.article.id for found in answer.results] == ["101"]


async def test_nobody_waits_longer_than_the_caller_does(world: World, confluence: Confluence) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    await world.searched("warm up")
    confluence.faults.append(20.0)
    client = world.client()
    answer = await client.stub.SearchArticles(
        pb.SearchArticlesRequest(subject=QUESTION), metadata=client.metadata, timeout=2
    )

    (report,) = answer.knowledge_bases
    assert report.state == SOURCE_STATE_TIMED_OUT
    assert report.detail.startswith("timed out after 1.")


@pytest.mark.parametrize(
    ("fault", "state", "told"),
    [(rate_limited, SOURCE_STATE_UNAVAILABLE, "rate limited"), (failing, SOURCE_STATE_UNAVAILABLE, "503")],
)
async def test_trouble_is_told_to_all_who_ask_the_same_and_soon_forgotten(
    world: World, confluence: Confluence, fault: object, state: int, told: str
) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    await world.searched("warm up")
    confluence.faults.append(fault)  # type: ignore[arg-type]
    confluence.queries.clear()

    for _ in range(2):
        troubled = await world.search(QUESTION)
        assert troubled.knowledge_bases[0].state == state
        assert told in troubled.knowledge_bases[0].detail
        assert not troubled.results
        assert not confluence.queries

    async def answers() -> bool:
        again = await world.search(QUESTION)
        return again.knowledge_bases[0].state == SOURCE_STATE_ANSWERED and bool(again.results)

    await until(answers, seconds=6)


async def test_of_many_questions_at_once_none_is_refused_and_no_other_client_waits(
    world: World, confluence: Confluence
) -> None:
    """More searches of knowledge bases than a client has places for questions, and more questions."""
    for tenant in ("acme", "globex"):
        await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH, tenant=tenant)
        await world.searched("warm up", tenant=tenant)
    await world.add_bases("wiki", "second", "third")
    confluence.delay_bodies = 0.5
    many = [asyncio.create_task(world.search(f"tunnel number {at}")) for at in range(26)]
    await asyncio.sleep(1)

    begun = time.monotonic()
    theirs = await world.search(QUESTION, tenant="globex")
    waited = time.monotonic() - begun
    reports = [report for each in many for report in (await each).knowledge_bases]

    assert theirs.knowledge_bases[0].state == SOURCE_STATE_ANSWERED
    assert waited < 8
    assert len(reports) == 26 * 3
    assert {each.state for each in reports} == {SOURCE_STATE_ANSWERED}


async def test_a_question_that_finds_no_place_in_time_is_told_so(
    world: World, confluence: Confluence
) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH, deadline_ms=10_000)
    await world.searched("warm up")
    confluence.delay_bodies = 9
    many = [asyncio.create_task(world.search(f"tunnel number {at}")) for at in range(24)]
    await asyncio.sleep(1)
    client = world.client()

    answer = await client.stub.SearchArticles(
        pb.SearchArticlesRequest(subject=QUESTION), metadata=client.metadata, timeout=3
    )

    assert answer.knowledge_bases[0].state == SOURCE_STATE_TIMED_OUT
    for each in many:
        each.cancel()
    await asyncio.gather(*many, return_exceptions=True)


async def test_wrong_credentials_are_told_without_being_told(world: World) -> None:
    await world.set_base(
        KNOWLEDGE_BASE_MODE_SEARCH, credentials={"email": "x@y.example", "token": TOKEN[::-1]}
    )
    (report,) = (await world.searched(QUESTION)).knowledge_bases
    assert report.state == SOURCE_STATE_FAILED
    assert "credentials are refused" in report.detail
    assert TOKEN[::-1] not in report.detail


async def test_while_tenants_is_away_ones_own_articles_are_found(world: World) -> None:
    await world.client().import_(*FILLERS, OWN)
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    await world.searched("warm up")
    await world.tenants.aclose()
    await asyncio.sleep(2.5)

    answer = await world.search(QUESTION)

    assert [found.article.id for found in answer.results] == ["own"]
    (report,) = answer.knowledge_bases
    assert report.state == SOURCE_STATE_UNAVAILABLE
    assert "tenants service" in report.detail


async def test_after_a_start_without_tenants_it_is_told_that_none_could_be_asked(world: World) -> None:
    await world.client().import_(*FILLERS, OWN)
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    await world.tenants.aclose()
    async with running_knowledge(world.own) as stub:
        answer = await stub.SearchArticles(
            pb.SearchArticlesRequest(subject=QUESTION), metadata=world.client().metadata
        )

    assert [found.article.id for found in answer.results] == ["own"]
    (report,) = answer.knowledge_bases
    assert (report.source, report.state) == ("knowledge_bases", SOURCE_STATE_UNAVAILABLE)
    assert "could not be asked" in report.detail


async def test_a_tenants_that_never_answers_takes_no_search_its_own_articles(world: World) -> None:
    await world.client().import_(*FILLERS, OWN)
    asked = list[str]()
    async with never_answering(asked) as target:
        hanging = world.own.model_copy(update={"tenants_target": target, "tenants_seconds": 5.0})
        async with running_knowledge(hanging) as stub:

            async def search(seconds: float) -> tuple[pb.SearchArticlesResponse, float]:
                begun = time.monotonic()
                answer = await stub.SearchArticles(
                    pb.SearchArticlesRequest(subject=QUESTION),
                    metadata=world.client().metadata,
                    timeout=seconds,
                )
                return answer, time.monotonic() - begun

            short = [await search(3), await search(10)]
            believed = [await search(10) for _ in range(3)]

    for answer, _ in [*short, *believed]:
        assert [found.article.id for found in answer.results] == ["own"]
        assert [each.state for each in answer.knowledge_bases] == [SOURCE_STATE_UNAVAILABLE]
    assert max(waited for _, waited in believed) < 1.5
    assert len(asked) == 1


@asynccontextmanager
async def never_answering(asked: list[str]) -> AsyncIterator[str]:
    """A tenants service that takes each call and hangs; `asked` are those for a client's access."""

    class Hanging(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
            async def hang(_request: bytes, _context: object) -> bytes:
                if details.method.endswith("/GetKnowledgeBaseAccess"):
                    asked.append(details.method)
                await asyncio.Event().wait()
                return b""

            return grpc.unary_unary_rpc_method_handler(hang)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Hanging(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_who_has_none_or_only_syncs_or_pauses_asks_none(world: World, confluence: Confluence) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH, tenant="globex")
    await world.searched("warm up", tenant="globex")
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    await world.synced()
    confluence.queries.clear()
    answer = await world.search(QUESTION)
    assert answer.results
    assert not answer.knowledge_bases
    assert not confluence.queries

    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH, tenant="globex", paused=True)

    async def is_paused() -> bool:
        return not (await world.search(QUESTION, tenant="globex")).knowledge_bases

    await until(is_paused)


async def test_the_same_question_is_asked_once(world: World, confluence: Confluence) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    first = await world.searched(QUESTION)
    asked = len(confluence.queries)

    again = await world.search(f"  {QUESTION.upper()} ")

    assert again.results[0].article.id == first.results[0].article.id
    assert len(confluence.queries) == asked


@pytest.mark.parametrize("garbage", ["{", '{"found": 3}', '{"trouble": "of another version"}'])
async def test_what_is_kept_and_cannot_be_read_is_asked_anew(
    world: World, confluence: Confluence, redis_url: str, garbage: str
) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    first = await world.searched(QUESTION)
    with redis.Redis.from_url(redis_url) as client:
        (key,) = client.scan_iter("dossier:knowledge:*:base:*")
        client.set(key, garbage, keepttl=True)
    confluence.queries.clear()

    answers = [await world.search(QUESTION) for _ in range(2)]

    assert [answer.results for answer in answers] == [first.results] * 2
    assert len(confluence.queries) == 1


class Unwritable:
    """A connector that says what no JSON and no message can hold."""

    most_at_once = 1

    async def search(self, *_: object, **__: object) -> object:
        raise Rejected("refused: \ud800")


async def test_what_cannot_be_written_is_trouble_of_the_one_that_said_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.client().import_(*FILLERS, OWN)
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    await world.searched("warm up")
    monkeypatch.setattr(Base, "connector", Unwritable())

    answer = await world.search(QUESTION)

    assert [found.article.id for found in answer.results] == ["own"]
    (report,) = answer.knowledge_bases
    assert (report.state, report.detail) == (SOURCE_STATE_FAILED, "refused: ?")


async def test_those_who_ask_at_once_ask_once(world: World, confluence: Confluence) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    await world.searched("warm up")
    confluence.queries.clear()
    confluence.faults.append(0.5)

    answers = await asyncio.gather(*(world.search(QUESTION) for _ in range(10)))

    assert len(confluence.queries) == 1
    assert all(answer.results for answer in answers)


async def test_nothing_that_one_client_was_told_reaches_another(
    world: World, confluence: Confluence, redis_url: str
) -> None:
    """Both have the same settings and ask the same, and what is there has changed between."""
    for tenant in ("acme", "globex"):
        await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH, tenant=tenant)
        await world.searched("warm up", tenant=tenant)
    assert [each.article.id for each in (await world.search(QUESTION)).results] == ["101"]
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        told = [key for key in client.scan_iter("*") if "concentrator" in (client.get(key) or "")]
    assert [key.split(":")[:3] for key in told] == [["dossier", "knowledge", "acme"]]
    confluence.pages["101"] = replace(VPN, title="Remote access of globex")
    confluence.queries.clear()

    theirs = await world.search(QUESTION, tenant="globex")

    assert [each.article.title for each in theirs.results] == ["Remote access of globex"]
    assert len(confluence.queries) == 1
    again = await world.search(QUESTION)
    assert [each.article.title for each in again.results] == ["Remote access"]
    assert len(confluence.queries) == 1
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        everything = "".join(client.get(key) or "" for key in client.scan_iter("dossier:knowledge:*"))
    assert TOKEN not in everything


async def test_a_client_that_is_deleted_leaves_nothing_in_the_cache(world: World, redis_url: str) -> None:
    for tenant in ("acme", "globex"):
        await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH, tenant=tenant)
        await world.searched(QUESTION, tenant=tenant)
    keys = RedisKeys(redis_url)
    try:
        erased = await keys.erase("acme")
        left = await keys.count("globex")
    finally:
        await keys.close()

    assert erased.removed["knowledge"] == 1
    assert erased.left == {}
    assert left["knowledge"] == 1


async def test_a_change_of_its_settings_or_credentials_asks_anew(
    world: World, confluence: Confluence
) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    assert (await world.searched(QUESTION)).results[0].article.id == "101"
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH, options={"spaces": "HR"})

    async def finds_the_other() -> bool:
        found = (await world.search(QUESTION)).results
        return [each.article.id for each in found] == ["103"]

    await until(finds_the_other, seconds=5)
    confluence.queries.clear()
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH, options={"spaces": "HR"})

    async def asked_anew() -> bool:
        await world.search(QUESTION)
        return bool(confluence.queries)

    await until(asked_anew, seconds=5)


async def test_without_redis_it_is_asked_each_time(  # noqa: PLR0917 - fixtures
    settings: TenantsSettings,
    database: TestDatabase,
    keys: Keys,
    confluence: Confluence,
    base_url: str,
    tmp_path: Path,
) -> None:
    gone = with_redis(f"unix://{tmp_path}/nobody.sock")
    async with running_world(settings, database, keys, confluence, base_url, **gone) as world:
        await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
        assert (await world.searched(QUESTION)).results
        confluence.queries.clear()
        assert (await world.search(QUESTION)).results
        assert len(confluence.queries) == 1
