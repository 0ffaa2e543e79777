"""Any endpoint that speaks the wire format of OpenAI's embeddings, the packaged MiniLM among them."""

import asyncio
import math
from collections.abc import Sequence
from typing import Annotated, Final

import aiohttp
from pydantic import BaseModel, Field, ValidationError
from yarl import URL

from egress.replies import TooLarge, whole_body
from embedding.contract import DIMENSIONS, EmbedderUnavailable, TextsRefused, Vector

_CHARACTERS_MOST: Final = 8_192
"""More than the models of such endpoints read, and little enough to send."""

_ANSWER_MOST: Final = 64 * 1024 * 1024
_REFUSED: Final = frozenset({400, 413, 422})
_NOTHING: Final = "-"
"""Endpoints refuse empty texts."""


class _Embedding(BaseModel):
    index: int
    embedding: Annotated[list[float], Field(min_length=DIMENSIONS, max_length=DIMENSIONS)]


class _Answer(BaseModel):
    data: list[_Embedding]


class Endpoint:
    """`base_url` is as OpenAI's SDK has it, `https://…/v1`, or `unix:///path/of/a/socket`.

    `seconds` is the longest wait for each text of a call.
    """

    def __init__(self, base_url: str, *, model: str, api_key: str | None, seconds: float) -> None:
        self.model = model
        self._seconds = seconds
        self._socket = base_url.removeprefix("unix://") if base_url.startswith("unix://") else None
        self._url = URL("http://embedder/v1" if self._socket else base_url) / "embeddings"
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._session: aiohttp.ClientSession | None = None

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        body = {
            "model": self.model,
            "input": [text[:_CHARACTERS_MOST].strip() or _NOTHING for text in texts],
            "encoding_format": "float",
            "dimensions": DIMENSIONS,
        }
        try:
            async with (
                asyncio.timeout(self._seconds * len(texts)),
                self._opened().post(self._url, json=body, headers=self._headers) as answer,
            ):
                if answer.status in _REFUSED:
                    raise TextsRefused(f"it answers {answer.status}")
                if not answer.ok:
                    raise EmbedderUnavailable(f"it answers {answer.status}")
                said = await whole_body(answer, most_bytes=_ANSWER_MOST)
        except (aiohttp.ClientError, OSError, TimeoutError, TooLarge) as error:
            raise EmbedderUnavailable(f"{type(error).__name__}") from error
        return _vectors(said, count=len(texts))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            # Its sockets are closed when the loop comes by next (aiohttp's "graceful shutdown").
            await asyncio.sleep(0)

    def _opened(self) -> aiohttp.ClientSession:
        """Opened at the first use: a session belongs to the loop that it is made in."""
        if self._session is None:
            connector = aiohttp.UnixConnector(self._socket) if self._socket else aiohttp.TCPConnector()
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session


def _vectors(said: bytes, *, count: int) -> Sequence[Vector]:
    try:
        answer = _Answer.model_validate_json(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise EmbedderUnavailable(f"it answers no vectors of {DIMENSIONS}: {where}: {first['msg']}") from None
    by_index = {each.index: each.embedding for each in answer.data}
    if by_index.keys() != set(range(count)):
        raise EmbedderUnavailable(f"it answers {len(answer.data)} vectors for {count} texts")
    return [_of_unit_length(by_index[number]) for number in range(count)]


def _of_unit_length(vector: Vector) -> Vector:
    """Endpoints that shorten vectors do not always make them whole again."""
    length = math.hypot(*vector)
    if not length or not math.isfinite(length):
        raise EmbedderUnavailable("it answers a vector without a direction")
    return [number / length for number in vector]
