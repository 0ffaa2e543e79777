"""One client never sees another: every RPC, and the function that stands outside row-level security."""

import gc
from typing import TYPE_CHECKING

import asyncpg
import grpc
import pytest

from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.article_pb2 import Article
from retrieval.documents import VERSION
from services.runtime.errors import error_info
from tests.knowledge.client import Client
from tests.support.databases import TestDatabase
from tests.support.keys import Keys

if TYPE_CHECKING:
    from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceAsyncStub

SECRET = "Label printer prints empty labels"
NEAREST = """
    select * from knowledge.find_nearest(array_fill(1::real, array[384])::public.halfvec, 'model', $1, 100)
"""
KEEP_A_VECTOR = """
    insert into knowledge.passage_vectors (source, article_id, position, model, vector)
    values ('import', $1, 0, 'model', array_fill(1::real, array[384])::public.halfvec)
"""
FIND = "select * from knowledge.find_candidates($1, '{1:1}/1048576', $2, 0.5, 100, false)"


async def test_no_rpc_shows_or_touches_another_clients_article(acme: Client, globex: Client) -> None:
    await acme.record(Article(id="1", title=SECRET))
    await globex.import_(Article(id="2", title="Own article"), Article(id="3", title="Another printer"))

    assert await globex.found(SECRET) == []
    assert [article.id for article in (await globex.list_(pb.ListArticlesRequest())).articles] == ["3", "2"]
    for call in (globex.get("1"), globex.delete("1")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND

    assert (await globex.record(Article(id="1", title="Same id, other client"))).created
    assert (await globex.import_(Article(id="1", title="Same id, changed"))).updated_count == 1
    await globex.delete("1")

    assert (await acme.get("1")).title == SECRET
    assert await acme.found(SECRET) == ["1"]


async def test_anothers_article_of_the_same_name_lends_no_words(acme: Client, globex: Client) -> None:
    await acme.record(Article(id="1", title=SECRET))
    await globex.record(Article(id="1", title="Coffee machine"))
    await globex.record(Article(id="2", title="Printer"))

    results = await globex.search(pb.SearchArticlesRequest(subject=f"{SECRET} printer", min_score=0))

    assert [result.article.id for result in results] == ["2"]


async def test_rarity_is_counted_per_client(acme: Client, globex: Client) -> None:
    """Scores must not tell what words another client's articles have."""
    await acme.record(Article(id="1", title=SECRET))
    before = (await acme.search(pb.SearchArticlesRequest(subject=SECRET, min_score=0)))[0].score

    await globex.import_(*(Article(id=str(number), title=SECRET) for number in range(50)))

    after = (await acme.search(pb.SearchArticlesRequest(subject=SECRET, min_score=0)))[0].score
    assert after == before


async def test_the_search_function_shows_the_set_tenant_only(acme: Client, database: TestDatabase) -> None:
    await acme.record(Article(id="1", title=SECRET))
    connection = await asyncpg.connect(database.url("knowledge"))
    try:
        for tenant, expected in (("acme", 1), ("globex", 0)):
            async with connection.transaction():
                await connection.execute("select set_config('dossier.tenant', $1, true)", tenant)
                assert len(await connection.fetch(FIND, ["label"], VERSION)) == expected
        for unset in ("", None):
            async with connection.transaction():
                if unset is not None:
                    await connection.execute("select set_config('dossier.tenant', $1, true)", unset)
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="not set"):
                    await connection.fetch(FIND, ["label"], VERSION)
    finally:
        await connection.close()


@pytest.mark.parametrize("few", [0, 1_000])
async def test_the_nearest_are_the_set_tenants_only(
    acme: Client, globex: Client, database: TestDatabase, few: int
) -> None:
    """One by one and by the index, which all tenants share."""
    await acme.record(Article(id="1", title=SECRET))
    await globex.record(Article(id="2", title=SECRET))
    connection = await asyncpg.connect(database.url("knowledge"))
    try:
        for tenant, number in (("acme", "1"), ("globex", "2")):
            async with connection.transaction():
                await connection.execute("select set_config('dossier.tenant', $1, true)", tenant)
                await connection.execute(KEEP_A_VECTOR, number)
        for tenant, expected in (("acme", ["1"]), ("globex", ["2"]), ("initech", [])):
            async with connection.transaction():
                await connection.execute("select set_config('dossier.tenant', $1, true)", tenant)
                found = await connection.fetch(NEAREST, few)
                assert [row["article_id"] for row in found] == expected
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="not set"):
            async with connection.transaction():
                await connection.fetch(NEAREST, few)
    finally:
        await connection.close()


async def test_nobody_else_may_call_the_search_functions(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.admin_url)
    try:
        allowed = await connection.fetch(
            "select grantee::regrole::text as role, privilege_type"
            " from pg_proc, aclexplode(proacl)"
            " where oid in ('knowledge.find_candidates'::regproc, 'knowledge.find_nearest'::regproc)"
        )
    finally:
        await connection.close()
    assert {(row["role"], row["privilege_type"]) for row in allowed} == {
        ("dossier_knowledge_search", "EXECUTE"),
        ("dossier_knowledge", "EXECUTE"),
    }


async def test_seeds_are_words_and_never_a_query(acme: Client, database: TestDatabase) -> None:
    """The function quotes them: what looks like an operator finds nothing more."""
    await acme.record(Article(id="1", title=SECRET))
    connection = await asyncpg.connect(database.url("knowledge"))
    try:
        async with connection.transaction():
            await connection.execute("select set_config('dossier.tenant', 'acme', true)")
            for seeds in (["x' | 'label"], ["!x"], ["lab:*"], ["\\"], ["'"], []):
                assert await connection.fetch(FIND, seeds, VERSION) == []
    finally:
        await connection.close()


async def test_tables_show_nothing_without_a_tenant(acme: Client, database: TestDatabase) -> None:
    await acme.record(Article(id="1", title=SECRET))
    connection = await asyncpg.connect(database.url("knowledge"))
    try:
        for table in (
            "articles",
            "passages",
            "passage_search",
            "article_search",
            "lexeme_counts",
            "passage_vectors",
        ):
            assert await connection.fetchval(f"select count(*) from knowledge.{table}") == 0  # noqa: S608
    finally:
        await connection.close()


async def test_a_token_without_a_tenant_or_none_at_all_is_refused_everywhere(
    stub: "KnowledgeServiceAsyncStub", keys: Keys
) -> None:
    nobody = Client(stub, keys.metadata("knowledge", tenant=None))
    stranger = Client(stub, ())
    for client, code, reason in (
        (nobody, grpc.StatusCode.PERMISSION_DENIED, "TENANT_REQUIRED"),
        (stranger, grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"),
    ):
        for call in (
            client.record(Article(id="1", title=SECRET)),
            client.import_(Article(id="1", title=SECRET)),
            client.get("1"),
            client.list_(pb.ListArticlesRequest()),
            client.delete("1"),
            client.search(pb.SearchArticlesRequest(subject=SECRET)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert refused.value.code() is code
            info = error_info(refused.value)
            assert info is not None
            assert info.reason == reason
    gc.collect()
