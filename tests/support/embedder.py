"""The packaged embedder as a process, and one of another model."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cli.program import Program
from cli.standins.loopback import listening
from tests.support.children import running
from tests.support.ports import free_port

API_KEY = "embedder-key"


@dataclass(frozen=True, slots=True)
class EmbedderServer:
    url: str
    folder: Path
    """Where the model's file and its log are."""

    @property
    def settings(self) -> dict[str, object]:
        """For a service's settings. A busy machine is no reason to leave meaning out."""
        return {
            "embedding_base_url": f"{self.url}/v1",
            "embedding_api_key": SecretStr(API_KEY),
            "embedding_seconds": 30,
        }


@contextmanager
def running_embedder(folder: Path) -> Iterator[EmbedderServer]:
    folder.mkdir(exist_ok=True)
    port = free_port()
    environment = {
        "DOSSIER_EMBEDDER_HTTP_PORT": str(port),
        "DOSSIER_EMBEDDER_FOLDER": str(folder),
        "DOSSIER_EMBEDDER_API_KEY": API_KEY,
    }
    program = Program("embedder", (sys.executable, "-P", "-m", "embedding.minilm"), environment)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{url}/readyz", trust_env=False).is_success
        return False

    with running(program, ready=ready, log=folder / "embedder.log"):
        yield EmbedderServer(url, folder)


@asynccontextmanager
async def another_model(
    asked: list[int], *, refuses: Callable[[str], bool] = lambda _: False
) -> AsyncIterator[str]:
    """An endpoint that gives every text the same vector, and notes how many it is asked for at a time."""

    async def embeddings(request: Request) -> Response:
        texts = (await request.json())["input"]
        asked.append(len(texts))
        if any(map(refuses, texts)):
            return JSONResponse({"error": {"message": "content policy"}}, 400)
        data = [{"index": number, "embedding": [1.0] * 384} for number in range(len(texts))]
        return JSONResponse({"data": data})

    async with listening(Starlette(routes=[Route("/v1/embeddings", embeddings, methods=["POST"])])) as url:
        yield f"{url}/v1"
