"""What history and knowledge need of an embedder."""

from collections.abc import Sequence
from typing import Final, Protocol

DIMENSIONS: Final = 384
"""Of every vector that is kept: a model that gives others has to be asked for these."""

Vector = Sequence[float]


class EmbedderUnavailable(Exception):
    """It does not answer, or answers what is no vectors; without it, words alone are compared."""


class TextsRefused(EmbedderUnavailable):
    """It answers, and will not have one of these texts."""


class Embedder(Protocol):
    model: str
    """Only vectors of one model are comparable. Empty: there is none, and nothing is embedded."""

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """A vector of length 1 for each text, in their order; raises `EmbedderUnavailable`.

        What is too long for the model is cut at its end.
        """

    async def close(self) -> None: ...
