"""The instance's own secrets: made once, kept in its folder, readable by its owner only."""

import base64
import os
import secrets
from pathlib import Path

from cli.instance import Instance
from services.runtime.tokens import generate_keys


def ensure_keys(instance: Instance) -> None:
    instance.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    generate_keys(instance.keys)
    if not instance.key_encryption_key.exists():
        _write_secret(instance.key_encryption_key, base64.b64encode(secrets.token_bytes(32)))


def _write_secret(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    fresh.rename(path)
