"""The sample incidents, each with the evidence that the orchestrator would send for it."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import frontmatter

from services.synthesis.model import (
    Evidence,
    EvidenceId,
    EvidenceKind,
    Options,
    Order,
    RequestId,
    TenantId,
    TicketText,
)

SAMPLE = Path(__file__).parents[2] / "cli" / "sample"


@dataclass(frozen=True, slots=True)
class Incident:
    id: str
    order: Order
    tickets: tuple[str, ...]
    articles: tuple[str, ...]
    assets: tuple[str, ...]


@cache
def incidents() -> Mapping[str, Incident]:
    return {incident.id: incident for incident in map(_incident, _rows("incidents.jsonl"))}


def _incident(row: Mapping[str, Any]) -> Incident:
    expected = row["expected"]
    evidence = (
        *(_ticket(each, score=0.42 - n / 20) for n, each in enumerate(expected["tickets"])),
        *(passage for each in expected["articles"] for passage in _passages(each)),
        *map(_asset, expected["assets"]),
    )
    order = Order(
        tenant=TenantId("acme"),
        request_id=RequestId(row["id"]),
        content_hash=b"",
        ticket=TicketText(row["id"], row["subject"], row["description"]),
        evidence=evidence,
        options=Options(language="en", model="", max_words=500, instructions=""),
    )
    return Incident(
        row["id"], order, tuple(expected["tickets"]), tuple(expected["articles"]), tuple(expected["assets"])
    )


def _ticket(identifier: str, *, score: float) -> Evidence:
    row = _tickets()[identifier]
    return Evidence(
        id=EvidenceId(f"history:{identifier}"),
        kind=EvidenceKind.PAST_TICKET,
        source="history",
        title=row["title"],
        text=row["description"],
        resolution=row["resolution"],
        url=row["url"],
        score=score,
    )


def _passages(identifier: str) -> Iterator[Evidence]:
    article = _articles()[identifier]
    for n, part in enumerate(re.split(r"(?m)^(?=## )", article.content.strip())):
        heading, _, body = part.partition("\n")
        yield Evidence(
            id=EvidenceId(f"knowledge:{identifier}#{n}"),
            kind=EvidenceKind.ARTICLE,
            source="knowledge",
            title=f"{article['title']} › {heading.lstrip('# ')}",  # noqa: RUF001 - as the orchestrator writes it
            text=body.strip(),
            resolution="",
            url=str(article["url"]),
            score=0.4 - n / 40,
        )


def _asset(name: str) -> Evidence:
    row = next(row for row in _table("assets.csv") if row["Name"] == name)
    return Evidence(
        id=EvidenceId(f"network:{name}"),
        kind=EvidenceKind.ASSET,
        source="network",
        title=f"{name} · {row['Role']}",
        text=f"{name} is a {row['Type']}. role: {row['Role']}. addresses: {row['IP Address']}."
        f" site: {row['Site']}. model: {row['Model']}",
        resolution="",
        url="",
        score=1.0,
    )


@cache
def _tickets() -> Mapping[str, Mapping[str, Any]]:
    return {row["id"]: row for row in _rows("tickets.jsonl")}


@cache
def _articles() -> Mapping[str, Any]:
    articles = (frontmatter.load(str(path)) for path in (SAMPLE / "articles").glob("*.md"))
    return {str(article["id"]): article for article in articles}


def _rows(file: str) -> Iterator[Mapping[str, Any]]:
    return map(json.loads, (SAMPLE / file).read_text().splitlines())


def _table(file: str) -> Iterator[Mapping[str, str]]:
    with (SAMPLE / file).open(newline="") as lines:
        yield from csv.DictReader(lines)
