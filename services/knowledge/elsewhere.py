"""Asks a client's knowledge bases that are searched, all at once, each within its deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Literal

import structlog
from pydantic import TypeAdapter, ValidationError

from converting.errors import ConverterBroken
from embedding.contract import EmbedderUnavailable
from embedding.questions import Questions
from knowledgebases.errors import KnowledgeBaseError, RateLimited, TooMuch, Unavailable
from knowledgebases.model import Page
from retrieval.questions import Frequencies
from services.knowledge import telemetry
from services.knowledge.answers import Asked, Search
from services.knowledge.bases import Base, Bases
from services.knowledge.cache import Cache, Made
from services.knowledge.excerpts import Excerpts, best_parts, cosine
from services.knowledge.model import Article, Source, text_of
from services.knowledge.pages import Pages
from services.knowledge.peers import AccessUnknown, NotServed
from services.knowledge.shares import Shares
from services.runtime.causes import place_of
from services.runtime.deadline import remaining_seconds

Trouble = Literal["timed_out", "unavailable", "failed"]

_PAGES: Final = 5
_WORDS: Final = 8
# Questions of one client, in one replica: each holds pages in memory.
_AT_ONCE: Final = 24
_SETTINGS_SECONDS: Final = 5.0
# What the caller still needs after this: to merge, and to answer.
_MARGIN_SECONDS: Final = 0.3

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What one knowledge base said; `detail` is for a reader where it is in trouble."""

    found: tuple[Excerpts, ...] = ()
    by_meaning: bool = True
    """Or by words alone, though meaning was asked for."""
    trouble: Trouble | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    name: Source
    seconds: float
    told: Told
    relevant: int = 0
    """How many of its pages reach the floor."""


_TOLD: Final = TypeAdapter(Told)
_ALL: Final = Source("knowledge_bases")
"""In place of their names, where those are not known."""
_ALL_UNKNOWN: Final = "the client's own could not be asked: the tenants service does not answer"


class Elsewhere:
    def __init__(self, bases: Bases, cache: Cache, pages: Pages, questions: Questions) -> None:
        self._bases = bases
        self._cache = cache
        self._pages = pages
        self._questions = questions
        self._shares = Shares(of_one=_AT_ONCE)

    def is_asked(self, tenant: str) -> bool:
        """Whether there is one to ask, as far as is known."""
        names = self._bases.searched(tenant)
        return names is None or bool(names)

    async def ask(
        self, tenant: str, search: Search, asked: Asked, frequencies: Frequencies
    ) -> Sequence[Heard]:
        """By name, one for each that is searched; never fails."""
        try:
            async with asyncio.timeout(_within(_SETTINGS_SECONDS)):
                reached = await self._bases.reach(tenant)
        except NotServed:
            return ()
        except (AccessUnknown, TimeoutError):
            names = self._bases.searched(tenant)
            if names is None:
                return [Heard(_ALL, 0, Told(trouble="unavailable", detail=_ALL_UNKNOWN))]
            unknown = Told(trouble="unavailable", detail=AccessUnknown.message)
            return [Heard(name, 0, unknown) for name in names]
        wanted = sorted((base for base in reached.values() if base.searched), key=lambda base: base.name)
        if not wanted:
            return ()
        seconds = _within(max(base.seconds for base in wanted))
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(seconds):
                    await held.enter_async_context(self._shares.one(tenant))
            except TimeoutError:
                for _ in wanted:
                    telemetry.count_base_search("timed_out")
                return [Heard(base.name, seconds, _timed_out(seconds)) for base in wanted]
            return await asyncio.gather(
                *(self._heard(tenant, base, search, asked, frequencies) for base in wanted)
            )

    async def _heard(
        self, tenant: str, base: Base, search: Search, asked: Asked, frequencies: Frequencies
    ) -> Heard:
        begun = time.monotonic()
        seconds = _within(base.seconds)
        key = _key(base, search, model=asked.meaning.model if asked.meaning is not None else "")
        try:
            async with asyncio.timeout(seconds):
                told = await self._kept(tenant, key, lambda: self._made(tenant, base, asked, frequencies))
        except TimeoutError:
            told = _timed_out(seconds)
        telemetry.count_base_search(told.trouble or "answered")
        return Heard(base.name, time.monotonic() - begun, told)

    async def _kept(self, tenant: str, key: str, make: Callable[[], Awaitable[Made]]) -> Told:
        try:
            return _TOLD.validate_json(await self._cache.text(tenant, key, make))
        except ValidationError:
            # Damaged, or of another version.
            await self._cache.forget(tenant, key)
        try:
            return _TOLD.validate_json(await self._cache.text(tenant, key, make))
        except ValidationError:
            return Told(trouble="failed", detail="what is kept of its answers cannot be read")

    async def _made(self, tenant: str, base: Base, asked: Asked, frequencies: Frequencies) -> Made:
        """What it tells, and be it why it tells nothing."""
        try:
            async with asyncio.timeout(base.seconds):
                return _made_of(await self._find(tenant, base, asked, frequencies))
        except Exception as error:  # noqa: BLE001 - connectors are anybody's; the client's own articles are not lost
            return _made_of(_in_trouble(base, error))

    async def _find(self, tenant: str, base: Base, asked: Asked, frequencies: Frequencies) -> Told:
        words = asked.rarest(frequencies, _WORDS)
        pages = await self._searched(base, words) if words else ()
        read = [await self._pages.article(tenant, base.name, page) for page in pages]
        articles = [each for each in read if isinstance(each, Article)]
        return await self._compared(
            await asyncio.to_thread(best_parts, articles, asked.question, frequencies), asked
        )

    async def _searched(self, base: Base, words: Sequence[str]) -> Sequence[Page]:
        for limit in (_PAGES, 1):
            try:
                return await base.connector.search(base.http, base.connection, words, limit=limit)
            except TooMuch:
                if limit == 1:
                    raise
        return ()

    async def _compared(self, found: Sequence[Excerpts], asked: Asked) -> Told:
        """With their cosines, unless words alone are compared."""
        if asked.meaning is None or not found:
            return Told(tuple(found))
        texts = [
            text_of(each.title, part)
            for each in found
            for part in (None, *(part.passage for part in each.parts))
        ]
        try:
            vectors = iter(await self._questions.vectors(texts))
        except EmbedderUnavailable:
            return Told(tuple(found), by_meaning=False)
        compared = []
        for each in found:
            title, *parts = (cosine(asked.meaning.vector, next(vectors)) for _ in range(1 + len(each.parts)))
            with_cosines = [
                replace(part, cosine=max(own, title)) for part, own in zip(each.parts, parts, strict=True)
            ]
            compared.append(replace(each, parts=tuple(with_cosines)))
        return Told(tuple(compared))


def _made_of(told: Told) -> Made:
    lasting = told.trouble is None and told.by_meaning
    # What a connector says may be no text that can be written.
    told = replace(told, detail=told.detail.encode(errors="replace").decode())
    return Made(_TOLD.dump_json(told).decode(), lasting=lasting)


def _in_trouble(base: Base, error: Exception) -> Told:
    match error:
        case TimeoutError():
            return _timed_out(base.seconds)
        case Unavailable() | RateLimited() | TooMuch():
            return Told(trouble="unavailable", detail=error.message)
        case ConverterBroken():
            _log.error("converter_broken")
            return Told(trouble="unavailable", detail="its pages could not be converted; ask again")
        case KnowledgeBaseError():
            return Told(trouble="failed", detail=str(error))
        case _:
            _log.error(
                "knowledge_base_connector_failed",
                connector=base.connector_name,
                error=type(error).__name__,
                where=place_of(error),
            )
            return Told(trouble="failed", detail="its connector failed; the log says how")


def _within(seconds: float) -> float:
    """And so that the caller still has time for what it needs."""
    left = remaining_seconds()
    return seconds if left is None else min(seconds, max(0.0, left - _MARGIN_SECONDS))


def _timed_out(seconds: float) -> Told:
    return Told(trouble="timed_out", detail=f"timed out after {seconds:.3g} s")


def _key(base: Base, search: Search, *, model: str) -> str:
    asked = " ".join(f"{search.subject}\n{search.description}".casefold().split())
    return sha256(f"told\0{base.name}\0{base.version}\0{model}\0{asked}".encode(errors="replace")).hexdigest()
