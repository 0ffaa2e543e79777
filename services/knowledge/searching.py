"""What one search reads of a tenant's articles."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from embedding.half import half_vector
from embedding.questions import Meaning
from retrieval.documents import VERSION
from retrieval.questions import Frequencies, Plan
from retrieval.ratings import Standing
from retrieval.relevance import Weights
from retrieval.sparse import sparse_vector
from services.knowledge.model import (
    ARTICLE_SHARE,
    TITLE_POSITION,
    Article,
    ArticleKey,
    Candidate,
    Passage,
    PassageKey,
)
from services.knowledge.ratings import standings
from services.knowledge.rows import article_of, passage, passage_key
from services.runtime.database import Connection

NAME_COLUMNS: Final = "source, article_id, title, url, tags, updated"
"""Of an article, without its body."""
# On either side of the one that was found.
_SURROUNDING_PASSAGES: Final = 6
# Both legs find articles, and of each the passage that is best by both. While one of its own has no vector,
# words alone choose among its passages.
_BY_MEANING: Final = """
    with question as (
        select $2::text::public.sparsevec as words, $6::text::public.halfvec as meaning
    ), found as (
        select source, article_id from question, knowledge.find_candidates($1, words, $3, $4, $5, $12)
        union
        select source, article_id from question, knowledge.find_nearest(meaning, $7, $8, $5)
    ), vectors as not materialized (
        select * from knowledge.passage_vectors where model = $7
    ), parts as (
        select part.source, part.article_id, part.position,
               case when whole.version = $3 then -(
                   $4 * (whole.weights operator(public.<#>) words)
                   + (1 - $4) * (part.weights operator(public.<#>) words)
               ) else 0 end as summed,
               case when title.vector is not null and bool_and(own.vector is not null) over article
                    then 1 - (own.vector operator(public.<=>) meaning) end as own_cosine,
               1 - (title.vector operator(public.<=>) meaning) as title_cosine
        from question, found
        join knowledge.article_search as whole using (source, article_id)
        join knowledge.passage_search as part using (tenant_id, source, article_id)
        left join vectors as own using (tenant_id, source, article_id, position)
        left join vectors as title
            on title.tenant_id = part.tenant_id and title.source = part.source
            and title.article_id = part.article_id and title.position = $11
        window article as (partition by part.source, part.article_id)
    )
    select distinct on (source, article_id)
           source, article_id, position, summed,
           case when own_cosine is not null then greatest(own_cosine, title_cosine) end as cosine
    from parts
    order by source, article_id, $9 * summed + $10 * coalesce(own_cosine, 0) desc, position
"""
# One by one, while they are no more than so many; then by the index.
_FEW: Final = 20_000


class Searching:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def frequencies(self, lexemes: Collection[str]) -> Frequencies:
        rows = await self._connection.fetch(
            "select lexeme, articles from knowledge.lexeme_counts where lexeme = any($1::text[])",
            ["", *lexemes],
        )
        documents: dict[str, int] = {row["lexeme"]: row["articles"] for row in rows}
        return Frequencies(corpus=documents.pop("", 0), documents=documents)

    async def candidates(self, plan: Plan, *, limit: int) -> list[Candidate]:
        """Find the articles whose words add up to most, best first, each with its best passage."""
        rows = await self._connection.fetch(
            "select source, article_id, position, summed"
            " from knowledge.find_candidates($1, $2::text::public.sparsevec, $3, $4, $5, $6)",
            list(plan.seeds),
            sparse_vector(plan.weights),
            VERSION,
            ARTICLE_SHARE,
            limit,
            plan.together,
        )
        return [Candidate(passage_key(row), row["summed"], cosine=None) for row in rows]

    async def candidates_by_meaning(
        self, plan: Plan, meaning: Meaning, *, weights: Weights, limit: int
    ) -> list[Candidate]:
        """Find the articles whose words add up to most, and as many that mean most nearly the same."""
        rows = await self._connection.fetch(
            _BY_MEANING,
            list(plan.seeds),
            sparse_vector(plan.weights),
            VERSION,
            ARTICLE_SHARE,
            limit,
            half_vector(meaning.vector),
            meaning.model,
            _FEW,
            weights.words / plan.sure,
            weights.meaning,
            TITLE_POSITION,
            plan.together,
        )
        return [Candidate(passage_key(row), row["summed"], row["cosine"]) for row in rows]

    async def standings(self, keys: Sequence[ArticleKey], plan: Plan) -> Mapping[ArticleKey, Standing]:
        """What people think of articles, where they judged them on questions like this one."""
        return await standings(self._connection, keys, plan)

    async def read(
        self, keys: Sequence[PassageKey], *, with_surroundings: bool
    ) -> dict[PassageKey, tuple[Article, dict[int, Passage]]]:
        """Read passages and those around them, by position and in order, each with its article's name."""
        rows = await self._connection.fetch(
            f"select {NAME_COLUMNS}, wanted.position,"  # noqa: S608 - a constant
            " around.position as at, around.headings, around.anchor, around.body"
            " from unnest($1::text[], $2::text[], $3::integer[]) as wanted (source, article_id, position)"
            " join knowledge.articles using (source, article_id)"
            " join knowledge.passages as around using (tenant_id, source, article_id)"
            " where around.position between wanted.position - $4 and wanted.position + $4"
            " order by around.position",
            [key.article.source for key in keys],
            [key.article.id for key in keys],
            [key.position for key in keys],
            _SURROUNDING_PASSAGES if with_surroundings else 0,
        )
        found: dict[PassageKey, tuple[Article, dict[int, Passage]]] = {}
        for row in rows:
            key = passage_key(row)
            if key not in found:
                found[key] = article_of(row), {}
            found[key][1][row["at"]] = passage(row)
        return found
