"""No embedder: words alone are compared."""

from collections.abc import Sequence

from embedding.contract import EmbedderUnavailable, Vector


class NoEmbedder:
    model = ""

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:  # noqa: ARG002 - the contract's
        raise EmbedderUnavailable("no embedder is configured")

    async def close(self) -> None:
        return
