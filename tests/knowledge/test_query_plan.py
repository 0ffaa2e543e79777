"""Searching must be served by the index, under row-level security, as the service's role."""

import asyncpg

from dossier.knowledge.v1.article_pb2 import Article
from tests.knowledge.client import Client
from tests.support.databases import TestDatabase
from tests.support.plans import asked

ROWS = 2_000
INDEX = "article_search_by_word"


async def test_a_search_uses_the_index_on_words(acme: Client, database: TestDatabase) -> None:
    await acme.import_in_chunks(
        [
            Article(id=str(number), title=f"Article about matter{number}", body="Common words " * 20)
            for number in range(ROWS)
        ]
    )
    found, used = await asked(
        database,
        "knowledge",
        "select article_id from"
        " knowledge.find_candidates(array['matter1234'], '{1:1}/1048576', 1::int2, 0.5, 9, false)",
        index=INDEX,
    )
    assert [row["article_id"] for row in found] == ["1234"]
    assert used == 1


async def test_few_articles_are_found_by_the_index_too(acme: Client, database: TestDatabase) -> None:
    """To read them all costs more than PostgreSQL believes."""
    await acme.import_in_chunks(
        [Article(id=str(at), title=f"Matter{at}", body="Common words " * 20) for at in range(300)]
    )
    found, used = await asked(
        database,
        "knowledge",
        "select from knowledge.find_candidates("
        "array['common', 'matter7'], '{1:1}/1048576', 1::int2, 0.5, 100, false)",
        index=INDEX,
    )
    assert len(found) == 100
    assert used == 1


async def test_without_the_function_the_index_could_not_serve(acme: Client, database: TestDatabase) -> None:
    """The reason for the function. Once this fails, PostgreSQL has learnt it and the function can go."""
    await acme.import_in_chunks([Article(id=str(at), title=f"Matter{at}") for at in range(500)])
    role = await asyncpg.connect(database.url("knowledge"))
    try:
        async with role.transaction():
            await role.execute("select set_config('dossier.tenant', 'acme', true)")
            await role.execute("set local enable_seqscan = off")
            plan = await role.fetch(
                "explain select 1 from knowledge.article_search"
                " where knowledge.words_of(tenant_id, lexemes) && array[17::bigint]"
            )
        assert INDEX not in str(plan)
    finally:
        await role.close()
