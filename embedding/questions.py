"""What a question means, if that is known in time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from embedding.contract import Embedder, EmbedderUnavailable, Vector

_AGAIN_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A question's vector, and the model whose vectors it may be compared with."""

    vector: Vector
    model: str


class Questions:
    """While the embedder is away nobody waits for it: now and then one question tries."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._away = False
        self._again = 0.0

    @property
    def embedded(self) -> bool:
        """False where words alone are compared, always."""
        return bool(self._embedder.model)

    async def vectors(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Of what a question is compared with; raises `EmbedderUnavailable`."""
        return await self._embedder.embed(texts)

    async def meaning(self, text: str) -> Meaning | None:
        now = time.monotonic()
        if not self.embedded or not text.strip() or (self._away and now < self._again):
            return None
        # Of those who come while it is away, one at a time tries.
        self._again = now + _AGAIN_SECONDS
        try:
            (vector,) = await self._embedder.embed([text])
        except EmbedderUnavailable as error:
            if not self._away:
                _log.warning("embedder_away", reason=str(error))
            self._away = True
            return None
        if self._away:
            _log.info("embedder_back")
        self._away = False
        return Meaning(vector, self._embedder.model)
