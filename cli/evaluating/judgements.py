"""Reads queries (JSON Lines) and what is relevant to them (qrels as TREC has them), gzipped or not."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from cli import gunzip
from cli.errors import DossierError

_QUERY_HINT: Final = 'A line is {"id", "text"}, {"id", "title", "description"} or {"id"} of a document.'
_QRELS_HINT: Final = "A line is query<TAB>document<TAB>relevance, or TREC's query 0 document relevance."
# What corpora call the third column; any other word in it is a slip.
_RELEVANCE_HEADINGS: Final = frozenset(
    {"relevance", "relevancy", "rel", "score", "label", "grade", "rating", "judgement", "judgment"}
)
# With those that corpora are published with.
_DESCRIPTIONS: Final = ("description", "body")


@dataclass(frozen=True, slots=True)
class Query:
    """Without a text it is the document of its id, which is left out of its own results."""

    id: str
    subject: str
    description: str
    ticket: tuple[str, str] | None = None
    """One of the client's own, by source and id, for which only what is older counts as found."""
    held_out: Collection[str] = ()
    """Its topic: the client's own that are searched as if they were not there."""

    @property
    def is_document(self) -> bool:
        return not self.subject and not self.description


Qrels = Mapping[str, Mapping[str, int]]
"""Query → document → relevance; only what is relevant."""


def read_queries(path: Path) -> Sequence[Query]:
    queries: dict[str, Query] = {}
    for number, line in _lines(path, "--queries"):
        query = _query(line)
        if query is None or query.id in queries:
            what = "is no query" if query is None else f"has the id {query.id} again"
            raise DossierError(f"{path}: line {number} {what}.", hint=_QUERY_HINT)
        queries[query.id] = query
    if not queries:
        raise DossierError(f"{path} has no queries.", hint=_QUERY_HINT)
    return list(queries.values())


def read_qrels(path: Path) -> Qrels:
    relevant: dict[str, dict[str, int]] = {}
    for number, line in _lines(path, "--qrels"):
        words = line.decode(errors="replace").split()
        if len(words) == 4:
            del words[1]
        if number == 1 and len(words) == 3 and words[2].casefold() in _RELEVANCE_HEADINGS:
            continue
        if len(words) != 3:
            raise DossierError(f"{path}: line {number} is no judgement.", hint=_QRELS_HINT)
        query, document, relevance = words
        if not _is_number(relevance):
            raise DossierError(
                f"{path}: line {number} is no judgement: the relevance {relevance!r} is not a whole number.",
                hint=_QRELS_HINT,
            )
        if int(relevance) > 0:
            relevant.setdefault(query, {})[document] = int(relevance)
    if not relevant:
        raise DossierError(f"{path} judges nothing relevant.", hint=_QRELS_HINT)
    return relevant


def judged(queries: Sequence[Query], qrels: Qrels) -> Sequence[Query]:
    """Those to which something is relevant: of the others nothing can be measured here."""
    found = [query for query in queries if query.id in qrels]
    if not found:
        raise DossierError(
            "None of the queries is judged: their ids are not in the qrels.",
            hint="The first column of the qrels is a query's id.",
        )
    return found


def documents_judged(queries: Iterable[Query], qrels: Qrels) -> Collection[str]:
    """Those that are relevant to one of the queries."""
    return {document for query in queries for document in qrels[query.id]}


def _lines(path: Path, option: str) -> Iterator[tuple[int, bytes]]:
    with gunzip.opened(path, option=option) as file:
        content = file.read()
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            yield number, line


def _query(line: bytes) -> Query | None:
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(told, dict) or not isinstance(told.get("id"), str | int) or told["id"] == "":
        return None
    subject = told.get("text") or told.get("title") or ""
    description = next((told[name] for name in _DESCRIPTIONS if told.get(name)), "")
    if not isinstance(subject, str) or not isinstance(description, str):
        return None
    return Query(str(told["id"]), subject, description)


def _is_number(word: str) -> bool:
    return word.removeprefix("-").isdigit()
