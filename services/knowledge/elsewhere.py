"""Asks a client's knowledge bases that are searched, all at once, each within its deadline."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Literal

import structlog

from embedding.contract import EmbedderUnavailable
from embedding.questions import Questions
from knowledgebases.errors import KnowledgeBaseError, RateLimited, TooMuch, Unavailable
from knowledgebases.model import Page
from retrieval.questions import Frequencies
from services.knowledge import telemetry
from services.knowledge.answers import Asked, Search
from services.knowledge.bases import Base, Bases
from services.knowledge.cache import Cache
from services.knowledge.excerpts import Excerpts, best_parts, cosine, read_written, written
from services.knowledge.model import Article, Source, text_of
from services.knowledge.pages import Pages
from services.knowledge.peers import AccessUnknown, NotServed
from services.runtime.causes import place_of
from services.runtime.deadline import remaining_seconds

Trouble = Literal["timed_out", "unavailable", "failed"]

_PAGES: Final = 5
_WORDS: Final = 8
# What the caller still needs after this: to merge, and to answer.
_MARGIN_SECONDS: Final = 0.3

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one knowledge base said; `detail` is for a reader where it is in trouble."""

    name: Source
    seconds: float
    found: Sequence[Excerpts] = ()
    trouble: Trouble | None = None
    detail: str = ""


class Elsewhere:
    def __init__(self, bases: Bases, cache: Cache, pages: Pages, questions: Questions) -> None:
        self._bases = bases
        self._cache = cache
        self._pages = pages
        self._questions = questions

    def names(self, tenant: str) -> Sequence[Source]:
        return self._bases.searched(tenant)

    async def ask(
        self, tenant: str, search: Search, asked: Asked, frequencies: Frequencies
    ) -> Sequence[Heard]:
        """By name, one for each that is searched; never fails."""
        try:
            reached = await self._bases.reach(tenant)
        except NotServed:
            return ()
        except AccessUnknown as error:
            return [
                Heard(name, 0, trouble="unavailable", detail=error.message) for name in self.names(tenant)
            ]
        wanted = sorted((base for base in reached.values() if base.searched), key=lambda base: base.name)
        return await asyncio.gather(
            *(self._heard(tenant, base, search, asked, frequencies) for base in wanted)
        )

    async def _heard(
        self, tenant: str, base: Base, search: Search, asked: Asked, frequencies: Frequencies
    ) -> Heard:
        begun = time.monotonic()
        left = remaining_seconds()
        seconds = base.seconds if left is None else min(base.seconds, max(0.0, left - _MARGIN_SECONDS))
        key = _key(base, search, model=asked.meaning.model if asked.meaning is not None else "")
        heard = Heard(base.name, 0)
        try:
            async with asyncio.timeout(seconds):
                text = await self._cache.text(
                    tenant, key, lambda: self._find(tenant, base, asked, frequencies)
                )
            heard = replace(heard, found=read_written(text))
        except TimeoutError:
            heard = replace(heard, trouble="timed_out", detail=f"timed out after {seconds:.3g} s")
        except (Unavailable, RateLimited, TooMuch) as error:
            heard = replace(heard, trouble="unavailable", detail=error.message)
        except KnowledgeBaseError as error:
            heard = replace(heard, trouble="failed", detail=str(error))
        except Exception as error:  # noqa: BLE001 - connectors are anybody's; the client's own articles are not lost
            _log.error(
                "knowledge_base_connector_failed",
                connector=base.connector_name,
                error=type(error).__name__,
                where=place_of(error),
            )
            heard = replace(heard, trouble="failed", detail="its connector failed; the log says how")
        telemetry.count_base_search(heard.trouble or "answered")
        return replace(heard, seconds=time.monotonic() - begun)

    async def _find(self, tenant: str, base: Base, asked: Asked, frequencies: Frequencies) -> str:
        async with asyncio.timeout(base.seconds):
            words = asked.rarest(frequencies, _WORDS)
            pages = await self._searched(base, words) if words else ()
            read = [await self._pages.article(tenant, base.name, page) for page in pages]
            articles = [each for each in read if isinstance(each, Article)]
            found = await asyncio.to_thread(best_parts, articles, asked.question, frequencies)
            return written(await self._compared(found, asked))

    async def _searched(self, base: Base, words: Sequence[str]) -> Sequence[Page]:
        for limit in (_PAGES, 1):
            try:
                return await base.connector.search(base.http, base.connection, words, limit=limit)
            except TooMuch:
                if limit == 1:
                    raise
        return ()

    async def _compared(self, found: Sequence[Excerpts], asked: Asked) -> Sequence[Excerpts]:
        """With their cosines, unless words alone are compared."""
        if asked.meaning is None or not found:
            return found
        texts = [
            text_of(each.title, part)
            for each in found
            for part in (None, *(part.passage for part in each.parts))
        ]
        try:
            vectors = iter(await self._questions.vectors(texts))
        except EmbedderUnavailable:
            return found
        compared = []
        for each in found:
            title, *parts = (cosine(asked.meaning.vector, next(vectors)) for _ in range(1 + len(each.parts)))
            with_cosines = [
                replace(part, cosine=max(own, title)) for part, own in zip(each.parts, parts, strict=True)
            ]
            compared.append(replace(each, parts=tuple(with_cosines)))
        return compared


def _key(base: Base, search: Search, *, model: str) -> str:
    asked = " ".join(f"{search.subject}\n{search.description}".casefold().split())
    return sha256(f"{base.name}\0{base.version}\0{model}\0{asked}".encode(errors="replace")).hexdigest()
