"""Envelope encryption of tenants' secrets.

Every secret has a data key of its own, kept beside it, encrypted with the one key-encryption key that is
never in the database. Tenant, kind and version are authenticated with both, so that a row copied to another
tenant or put in place of another version does not open.
"""

import binascii
import hashlib
import secrets
from base64 import b64decode
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
class KeyEncryptionKey:
    _key: bytes = field(repr=False)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Not 32 bytes in base64: ValueError."""
        try:
            key = b64decode(file.read_bytes().strip(), validate=True)
        except binascii.Error:
            key = b""
        if len(key) != _KEY_BYTES:
            raise ValueError(f"the file must hold {_KEY_BYTES} bytes in base64")
        return cls(key)

    @property
    def id(self) -> str:
        return hashlib.sha256(b"dossier key id\0" + self._key).hexdigest()[:16]

    def seal(self, secret: Secret, place: Place) -> KeptSecret:
        data_key = AESGCM.generate_key(bit_length=_KEY_BYTES * 8)
        sealed = Sealed(
            self.id,
            wrapped_key=_encrypt(self._key, data_key, place),
            ciphertext=_encrypt(data_key, secret.reveal(), place),
        )
        return KeptSecret(str(uuid7()), place, sealed)

    def open(self, kept: KeptSecret) -> Secret:
        """Not sealed with this key, or not for this place: SecretUnreadable."""
        place, sealed = kept.place, kept.sealed
        try:
            data_key = _decrypt(self._key, sealed.wrapped_key, place)
            return Secret(_decrypt(data_key, sealed.ciphertext, place))
        except InvalidTag:
            raise SecretUnreadable(
                f"{place.kind.value} secret {place.version} of {place.tenant} does not open:"
                f" sealed with key {sealed.key_id}, tried with {self.id}"
            ) from None


def _encrypt(key: bytes, plain: bytes, place: Place) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, place.associated_data)


def _decrypt(key: bytes, encrypted: bytes, place: Place) -> bytes:
    nonce, ciphertext = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
    return AESGCM(key).decrypt(nonce, ciphertext, place.associated_data)
