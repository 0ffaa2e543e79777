"""Articles and their passages, and the rules of what they are found by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NewType

from retrieval.documents import TITLE_WEIGHT, Field
from retrieval.relevance import comparable_by_meaning

ArticleId = NewType("ArticleId", str)
Source = NewType("Source", str)

DEFAULT_SOURCE: Final = Source("import")
ARTICLE_SHARE: Final = 0.5
"""What an article counts beside its best passage: symptoms stand in one passage, the remedy in another."""

HEADING_SEPARATOR: Final = " › "  # noqa: RUF001 - the contract's
_HEADING_WEIGHT: Final = 1.5
# Enough of a title to sort by, and little enough for an index.
_SORTED_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class ArticleKey:
    source: Source
    id: ArticleId


@dataclass(frozen=True, slots=True)
class ArticleReference:
    """An article as a caller names it; without a source, whichever has it."""

    id: ArticleId
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Article:
    """`body` is Markdown, empty where only the article's name is wanted; `updated` is None where unknown."""

    key: ArticleKey
    title: str
    body: str
    url: str
    tags: tuple[str, ...]
    updated: datetime | None

    @property
    def title_key(self) -> str:
        """What a list is sorted by."""
        return self.title.casefold()[:_SORTED_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of an article: plain text under the headings above it, outermost first.

    `anchor` leads to the innermost heading and is empty for the beginning of the article.
    """

    headings: tuple[str, ...]
    anchor: str
    text: str

    @property
    def heading(self) -> str:
        return HEADING_SEPARATOR.join(self.headings)


TITLE_POSITION: Final = -1
"""Where an article's title stands among the vectors of its passages."""


@dataclass(frozen=True, slots=True)
class PassageKey:
    """A passage by its position in its article, from 0."""

    article: ArticleKey
    position: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """An article's best passage.

    `summed` is the raw sum of its words, `cosine` of its vector or, if that is nearer, its article's title's;
    None where the article has not been embedded whole.
    """

    key: PassageKey
    summed: float
    cosine: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A passage that bears on the question, with the question's words that it or the title shares.

    `lexical` is what its words alone earn, `cosine` its meaning.
    """

    article: Article
    passage: Passage
    score: float
    lexical: float
    cosine: float | None
    matched: tuple[str, ...]
    surroundings: tuple[Passage, ...] = ()
    """The passages around it in the same article, in order, where they were asked for."""
    boosts: tuple[str, ...] = ()
    """What changed the score beyond its text."""


def fields(article: Article, passage: Passage) -> tuple[Field, ...]:
    """What a passage is found by."""
    return (
        Field(article.title, TITLE_WEIGHT),
        Field(" ".join(passage.headings), _HEADING_WEIGHT),
        Field(passage.text),
    )


def text_of(title: str, passage: Passage | None) -> str:
    """What is embedded of a passage, which alone does not say what it is about; without one, of the title."""
    return title if passage is None else "\n".join(filter(None, (title, passage.heading, passage.text)))


def comparable(candidates: Sequence[Candidate]) -> bool:
    """Say whether meaning may decide: not while few of the articles have been embedded."""
    return comparable_by_meaning([each.cosine for each in candidates if each.summed > 0])
