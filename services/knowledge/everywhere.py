"""Finds what answers a question: among the client's articles, and in knowledge bases that are searched."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from embedding.questions import Questions
from services.knowledge.answers import Asked, Search, find_answers, understood
from services.knowledge.elsewhere import Elsewhere, Heard
from services.knowledge.excerpts import answers
from services.knowledge.model import Answer
from services.knowledge.store import TenantArticles


async def find_everywhere(
    articles: TenantArticles, elsewhere: Elsewhere, questions: Questions, search: Search
) -> tuple[list[Answer], Sequence[Heard]]:
    """Best first, at most one passage an article; and how the knowledge bases fared that were asked."""
    asked = await understood(questions, search)
    if not elsewhere.is_asked(articles.tenant):
        return await find_answers(articles, asked, search), ()
    try:
        async with asyncio.TaskGroup() as group:
            own = group.create_task(find_answers(articles, asked, search))
            others = group.create_task(_found_elsewhere(articles, elsewhere, asked, search))
    except BaseExceptionGroup as failures:
        # Both need the database, and the caller is told what one of them says.
        raise failures.exceptions[0] from None
    found, heard = others.result()
    # What is kept of a page is cut and compared whole, and so known better.
    known = {each.article.key for each in own.result()}
    merged = [*own.result(), *(each for each in found if each.article.key not in known)]
    merged.sort(key=lambda each: -each.score)
    return merged[: search.limit], heard


async def _found_elsewhere(
    articles: TenantArticles, elsewhere: Elsewhere, asked: Asked, search: Search
) -> tuple[list[Answer], Sequence[Heard]]:
    async with articles.searching() as index:
        frequencies = await index.frequencies(asked.question.lexemes)
    found, heard = list[Answer](), list[Heard]()
    for each in await elsewhere.ask(articles.tenant, search, asked, frequencies):
        relevant = answers(
            each.name,
            each.told.found,
            question=asked.question,
            frequencies=frequencies,
            ranking=search.ranking,
            with_surroundings=search.with_surroundings,
        )
        found += relevant
        heard.append(replace(each, relevant=len(relevant)))
    return found, heard
