"""Key-encryption keys that this process holds itself, from a file or the environment."""

import binascii
import hashlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag

from services.tenants.sealing import (
    KEY_BYTES,
    KeptSecret,
    Place,
    SecretUnreadable,
    WrappedKey,
    decrypt,
    encrypt,
)

_NO_KEY: Final = f"must hold {KEY_BYTES} bytes in base64, a line each key"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The first key wraps, the others unwrap what is still wrapped with them."""

    _keys: Mapping[str, bytes] = field(repr=False)
    """By id, the first in use."""

    @classmethod
    def read(cls, file: Path) -> Self:
        return cls.parse(file.read_text(errors="replace"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """A key a line, each 32 bytes in base64; otherwise ValueError, which does not quote them."""
        keys = [_key(line) for line in text.split()]
        if not keys:
            raise ValueError(_NO_KEY)
        return cls({_id_of(key): key for key in keys})

    def knows(self, key_id: str) -> bool:
        return key_id in self._keys

    async def current_id(self) -> str:
        return next(iter(self._keys))

    async def wrap(self, data_key: bytes, place: Place) -> WrappedKey:
        key_id = await self.current_id()
        return WrappedKey(key_id, encrypt(self._keys[key_id], data_key, place))

    async def unwrap(self, kept: KeptSecret) -> bytes:
        try:
            return decrypt(self._keys[kept.sealed.key_id], kept.sealed.wrapped_key, kept.place)
        except InvalidTag:
            raise SecretUnreadable(kept) from None


def _key(line: str) -> bytes:
    try:
        key = b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(_NO_KEY)
    return key


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"dossier key id\0" + key).hexdigest()[:16]
