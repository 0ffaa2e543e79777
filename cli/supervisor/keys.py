"""The instance's own secrets: made once, kept in its folder, readable by its owner only."""

import base64
import secrets

from cli.files import replace_file
from cli.instance import Instance
from services.runtime.tokens import generate_keys


def ensure_keys(instance: Instance) -> None:
    instance.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    generate_keys(instance.keys)
    if not instance.key_encryption_key.exists():
        replace_file(instance.key_encryption_key, base64.b64encode(secrets.token_bytes(32)))
