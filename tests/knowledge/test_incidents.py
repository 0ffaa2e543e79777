"""The sample client's new incidents: the article that answers is found, and where none does, none is."""

import json
from pathlib import Path
from typing import TypedDict

import frontmatter

from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.article_pb2 import Article
from tests.knowledge.client import Client

SAMPLE = Path(__file__).resolve().parents[2] / "cli" / "sample"


class Expected(TypedDict):
    articles: list[str]


class Incident(TypedDict):
    id: str
    subject: str
    description: str
    expected: Expected


def articles() -> list[Article]:
    files = [frontmatter.load(str(path)) for path in sorted((SAMPLE / "articles").glob("*.md"))]
    return [
        Article(id=str(file["id"]), title=str(file["title"]), body=file.content, url=str(file["url"]))
        for file in files
    ]


def incidents() -> list[Incident]:
    return [json.loads(line) for line in (SAMPLE / "incidents.jsonl").read_text().splitlines()]


def asks(incident: Incident) -> pb.SearchArticlesRequest:
    return pb.SearchArticlesRequest(subject=incident["subject"], description=incident["description"])


async def test_each_known_incident_finds_the_article_that_answers_it(acme: Client) -> None:
    assert (await acme.import_(*articles())).created_count == len(articles())

    for incident in incidents():
        if not incident["expected"]["articles"]:
            continue
        results = await acme.search(asks(incident))
        first = [result.article.id for result in results[:3]]
        assert set(incident["expected"]["articles"]) <= set(first), (incident["id"], first)
        assert results[0].matched_terms, incident["id"]
        assert results[0].passage.text, incident["id"]


async def test_an_incident_that_no_article_answers_finds_nothing(acme: Client) -> None:
    await acme.import_(*articles())

    unknown = [incident for incident in incidents() if not incident["expected"]["articles"]]

    assert len(unknown) == 1
    assert await acme.search(asks(unknown[0])) == []
