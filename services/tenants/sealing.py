"""Envelope encryption of tenants' secrets.

Every secret has a data key of its own, kept beside it, encrypted with a key-encryption key that is never in
the database. Tenant, kind and version are authenticated with both, so that a row copied to another
tenant or put in place of another version does not open.
"""

import binascii
import hashlib
import secrets
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from uuid_utils import uuid7

from services.tenants.model import Secret, SecretKind, TenantId

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_NO_KEY: Final = f"must hold {_KEY_BYTES} bytes in base64, a line each key"


class SecretUnreadable(Exception):
    """A kept secret does not open: another key-encryption key, or a row that was tampered with."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which secret it is."""

    tenant: TenantId
    kind: SecretKind
    version: int

    @property
    def associated_data(self) -> bytes:
        return f"{self.tenant}|{self.kind.value}|{self.version}".encode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the database may hold; `key_id` names the key-encryption key, for telling keys apart."""

    key_id: str
    wrapped_key: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """`id` names it in logs and audit; without an expiry it is the current version."""

    id: str
    place: Place
    sealed: Sealed
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key-encryption keys: the first seals, the others open what is still sealed with them.

    A key management service would stand in for this class: what leaves it are wrapped data keys only.
    """

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

    @property
    def current_id(self) -> str:
        return next(iter(self._keys))

    def seal(self, secret: Secret, place: Place) -> KeptSecret:
        data_key = AESGCM.generate_key(bit_length=_KEY_BYTES * 8)
        return KeptSecret(
            str(uuid7()), place, self._wrapped(data_key, _encrypt(data_key, secret.reveal(), place), place)
        )

    def open(self, kept: KeptSecret) -> Secret:
        """Not sealed with one of these keys, or not for this place: SecretUnreadable."""
        try:
            return Secret(_decrypt(self._data_key(kept), kept.sealed.ciphertext, kept.place))
        except InvalidTag:
            raise _unreadable(kept) from None

    def sealed_anew(self, kept: KeptSecret) -> Sealed:
        """The same secret under the current key: its data key is wrapped again, itself it stays as it is."""
        return self._wrapped(self._data_key(kept), kept.sealed.ciphertext, kept.place)

    def _wrapped(self, data_key: bytes, ciphertext: bytes, place: Place) -> Sealed:
        key_id = self.current_id
        return Sealed(key_id, _encrypt(self._keys[key_id], data_key, place), ciphertext)

    def _data_key(self, kept: KeptSecret) -> bytes:
        key = self._keys.get(kept.sealed.key_id)
        if key is None:
            raise _unreadable(kept)
        try:
            return _decrypt(key, kept.sealed.wrapped_key, kept.place)
        except InvalidTag:
            raise _unreadable(kept) from None


def _unreadable(kept: KeptSecret) -> SecretUnreadable:
    place = kept.place
    return SecretUnreadable(
        f"{place.kind.value} secret {place.version} of {place.tenant} does not open:"
        f" sealed with key {kept.sealed.key_id}"
    )


def _key(line: str) -> bytes:
    try:
        key = b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(_NO_KEY)
    return key


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"dossier key id\0" + key).hexdigest()[:16]


def _encrypt(key: bytes, plain: bytes, place: Place) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, place.associated_data)


def _decrypt(key: bytes, encrypted: bytes, place: Place) -> bytes:
    nonce, ciphertext = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
    return AESGCM(key).decrypt(nonce, ciphertext, place.associated_data)
