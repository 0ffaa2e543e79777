"""What people think of articles that briefs cited, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from retrieval.documents import VERSION
from retrieval.mail import own_words
from retrieval.questions import Plan, read
from retrieval.ratings import Standing, Voice, standing
from retrieval.sparse import sparse_vector
from services.knowledge.model import ArticleId, ArticleKey, Source
from services.runtime.database import Connection, Database

# Of one article: a well-known one may have thousands, and the latest know best.
_MOST_VOICES: Final = 100
_RATE: Final = """
    insert into knowledge.article_ratings as known
        (source, article_id, rating_id, revision, helpful, version, weights)
    select source, article_id, $3, $4, $5, $6, $7::text::public.sparsevec
    from knowledge.articles where source = $1 and article_id = $2
    on conflict (tenant_id, source, article_id, rating_id) do update
        set revision = excluded.revision, helpful = excluded.helpful,
            version = excluded.version, weights = excluded.weights
        where known.revision < excluded.revision
"""
_VOICES: Final = """
    select wanted.source, wanted.article_id, rating.helpful,
           -(rating.weights operator(public.<#>) $3::text::public.sparsevec) as summed
    from unnest($1::text[], $2::text[]) as wanted (source, article_id)
    cross join lateral (
        select r.helpful, r.weights from knowledge.article_ratings as r
        where r.source = wanted.source and r.article_id = wanted.article_id
            and r.helpful is not null and r.version = $4
        order by r.rating_id desc limit $5
    ) as rating
"""


@dataclass(frozen=True, slots=True)
class Rating:
    """One person's word on one citation of an article; `helpful` is None when it was taken back."""

    id: str
    revision: int
    article: ArticleKey
    helpful: bool | None
    subject: str
    description: str


async def rate(database: Database, tenant: str, rating: Rating) -> bool:
    """Keep it; False where a later word is kept, or there is no such article."""
    question = read(rating.subject, own_words(rating.description))
    async with database.tenant(tenant) as connection:
        status = await connection.execute(
            _RATE,
            rating.article.source,
            rating.article.id,
            rating.id,
            rating.revision,
            rating.helpful,
            VERSION,
            sparse_vector(question.copy),
        )
    return status == "INSERT 0 1"


async def standings(
    connection: Connection, keys: Sequence[ArticleKey], planned: Plan
) -> Mapping[ArticleKey, Standing]:
    """Of those articles that people rated on questions like the planned one."""
    rows = await connection.fetch(
        _VOICES,
        [key.source for key in keys],
        [key.id for key in keys],
        sparse_vector(planned.weights),
        VERSION,
        _MOST_VOICES,
    )
    voices: dict[ArticleKey, list[Voice]] = {}
    for row in rows:
        key = ArticleKey(Source(row["source"]), ArticleId(row["article_id"]))
        voices.setdefault(key, []).append(Voice(row["helpful"], planned.share(row["summed"])))
    return {key: standing(of_article) for key, of_article in voices.items()}
