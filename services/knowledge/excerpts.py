"""Passages that were found elsewhere, scored as one's own are."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from embedding.contract import Vector
from retrieval.documents import lexemes, merged, weigh
from retrieval.questions import Frequencies, Plan, Question, plan
from retrieval.relevance import Ranking, relevance
from services.knowledge.model import (
    ARTICLE_SHARE,
    Answer,
    Article,
    ArticleId,
    ArticleKey,
    Passage,
    Source,
    fields,
)
from services.knowledge.passages import passages

_PASSAGES_OF_A_PAGE: Final = 4


@dataclass(frozen=True, slots=True)
class Excerpt:
    """`cosine` is as a candidate's: of the passage or its article's title, None where it was not compared."""

    headings: tuple[str, ...]
    anchor: str
    text: str
    cosine: float | None = None

    @property
    def passage(self) -> Passage:
        return Passage(self.headings, self.anchor, self.text)


@dataclass(frozen=True, slots=True)
class Excerpts:
    """The best passages of one page, in order."""

    id: str
    title: str
    url: str
    tags: tuple[str, ...]
    updated: datetime | None
    parts: tuple[Excerpt, ...]

    def article(self, source: Source) -> Article:
        return Article(
            ArticleKey(source, ArticleId(self.id)), self.title, "", self.url, self.tags, self.updated
        )


def best_parts(
    articles: Sequence[Article], question: Question, frequencies: Frequencies
) -> Sequence[Excerpts]:
    """Cut pages along their headings, and keep what of each has most of the question's words."""
    cut = [
        (article, [(part, weigh(fields(article, part))) for part in passages(article.body)])
        for article in articles
    ]
    planned = plan(question, _with(frequencies, (weights for _, parts in cut for _, weights in parts)))
    found = []
    for article, parts in cut:
        order = sorted(range(len(parts)), key=lambda at: -_sum(planned, parts[at][1]))
        kept = [parts[at][0] for at in sorted(order[:_PASSAGES_OF_A_PAGE])]
        excerpts = tuple(Excerpt(each.headings, each.anchor, each.text) for each in kept)
        found.append(
            Excerpts(article.key.id, article.title, article.url, article.tags, article.updated, excerpts)
        )
    return found


def cosine(one: Vector, other: Vector) -> float:
    """Of vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def answers(
    source: Source,
    found: Sequence[Excerpts],
    *,
    question: Question,
    frequencies: Frequencies,
    ranking: Ranking,
    with_surroundings: bool,
) -> list[Answer]:
    """The best passage of each page, where it reaches the floor: by the formula of one's own articles."""
    weighed = [
        (each, [weigh(fields(each.article(source), part.passage)) for part in each.parts]) for each in found
    ]
    planned = plan(question, _with(frequencies, (merged(parts) for _, parts in weighed)))
    best = [
        _best(
            each.article(source), each.parts, weights, planned, ranking, with_surroundings=with_surroundings
        )
        for each, weights in weighed
        if each.parts
    ]
    return [answer for answer in best if answer.score >= ranking.floor]


def _best(
    article: Article,
    parts: Sequence[Excerpt],
    weights: Sequence[Mapping[str, float]],
    planned: Plan,
    ranking: Ranking,
    *,
    with_surroundings: bool,
) -> Answer:
    whole = _sum(planned, merged(weights))
    scored = []
    for part, own in zip(parts, weights, strict=True):
        lexical = planned.score(ARTICLE_SHARE * whole + (1 - ARTICLE_SHARE) * _sum(planned, own))
        meaning = part.cosine if ranking.meaning_share > 0 else None
        scored.append((relevance(lexical, meaning, ranking.weights), lexical, meaning, part))
    place, lexical, meaning, best = max(scored, key=lambda each: each[0])
    return Answer(
        article,
        best.passage,
        score=min(1.0, max(0.0, place)),
        lexical=lexical,
        cosine=meaning,
        matched=planned.matched(lexemes(fields(article, best.passage))),
        surroundings=tuple(part.passage for part in parts if part is not best) if with_surroundings else (),
    )


def _sum(planned: Plan, weights: Mapping[str, float]) -> float:
    return sum(weight * weights.get(lexeme, 0.0) for lexeme, weight in planned.weights.items())


def _with(frequencies: Frequencies, documents: Iterable[Mapping[str, float]]) -> Frequencies:
    """Count these documents in: a word that only they have is not unheard of."""
    seen = [document.keys() for document in documents]
    having = Counter(lexeme for document in seen for lexeme in document)
    known = {
        lexeme: frequencies.documents.get(lexeme, 0) + having[lexeme]
        for lexeme in {*frequencies.documents, *having}
    }
    return Frequencies(frequencies.corpus + len(seen), known)
