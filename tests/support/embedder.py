"""The packaged embedder as a process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr

from cli.program import Program
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
        """For a service's settings."""
        return {"embedding_base_url": f"{self.url}/v1", "embedding_api_key": SecretStr(API_KEY)}


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
