"""The program: reads its settings, makes the model's file where it is missing, serves."""

import argparse
from pathlib import Path

import uvicorn
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from embedding.minilm.app import application
from embedding.minilm.encoder import Encoder
from embedding.minilm.export import prepared


class EmbedderSettings(BaseSettings):
    """Names are `DOSSIER_EMBEDDER_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="DOSSIER_EMBEDDER_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    http_host: str = "127.0.0.1"
    """Where to listen; loopback unless told otherwise."""
    http_port: int = Field(default=8090, ge=0, le=65535)
    socket: Path | None = None
    """A Unix socket to listen on instead."""
    folder: Path = Path.home() / ".cache" / "dossier"
    """Where the model's file is kept; 23 MB."""
    api_key: SecretStr | None = None
    """What callers have to send as `Authorization: Bearer …`; unset, nothing."""


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m embedding.minilm", description=__doc__)
    arguments.add_argument("--prepare", action="store_true", help="make the model's file, and end")
    asked = arguments.parse_args()
    settings = EmbedderSettings()
    if asked.prepare:
        prepared(settings.folder)
        return
    key = settings.api_key.get_secret_value() if settings.api_key else None
    uvicorn.run(
        application(Encoder(settings.folder).encode, api_key=key),
        uds=str(settings.socket) if settings.socket else None,
        host=settings.http_host,
        port=settings.http_port,
        log_level="warning",
        access_log=False,
    )
