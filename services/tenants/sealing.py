"""Envelope encryption of tenants' secrets.

Every secret has a data key of its own, kept beside it, encrypted with a key-encryption key that is never in
the database. Tenant, kind and version are authenticated with both, so that a row copied to another
tenant or put in place of another version does not open.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from uuid_utils import uuid7

from services.tenants.model import Secret, SecretKind, TenantId

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class SecretUnreadable(Exception):
    """A kept secret does not open: another key-encryption key, or a row that was tampered with."""

    def __init__(self, kept: "KeptSecret") -> None:
        place = kept.place
        super().__init__(
            f"{place.kind.value} secret {place.version} of {place.tenant} does not open:"
            f" sealed with key {kept.sealed.key_id}"
        )


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
class WrappedKey:
    """An encrypted data key; `key_id` names the key-encryption key, for telling keys apart."""

    key_id: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the database may hold."""

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


class KeyEncryption(Protocol):
    """Where the key-encryption keys are, and what is done with them: in this process or far from it."""

    def knows(self, key_id: str) -> bool:
        """Whether a key of that id would be here."""
        ...

    async def current_id(self) -> str:
        """Which key wraps now."""
        ...

    async def wrap(self, data_key: bytes, place: Place) -> WrappedKey: ...

    async def unwrap(self, kept: KeptSecret) -> bytes:
        """The data key of a secret. With another key or in another place: SecretUnreadable."""
        ...


class Sealer:
    """Seals with one, and opens what that or another has sealed."""

    def __init__(self, sealing: KeyEncryption, *opening: KeyEncryption) -> None:
        self._sealing = sealing
        self._opening = (sealing, *opening)

    async def current_id(self) -> str:
        return await self._sealing.current_id()

    async def seal(self, secret: Secret, place: Place) -> KeptSecret:
        data_key = AESGCM.generate_key(bit_length=KEY_BYTES * 8)
        sealed = await self._wrapped(data_key, encrypt(data_key, secret.reveal(), place), place)
        return KeptSecret(str(uuid7()), place, sealed)

    async def open(self, kept: KeptSecret) -> Secret:
        """Not sealed with one of these keys, or not for this place: SecretUnreadable."""
        data_key = await self._data_key(kept)
        try:
            return Secret(decrypt(data_key, kept.sealed.ciphertext, kept.place))
        except InvalidTag:
            raise SecretUnreadable(kept) from None

    async def sealed_anew(self, kept: KeptSecret) -> Sealed:
        """The same secret under the current key: its data key is wrapped again, itself it stays as it is."""
        return await self._wrapped(await self._data_key(kept), kept.sealed.ciphertext, kept.place)

    async def _wrapped(self, data_key: bytes, ciphertext: bytes, place: Place) -> Sealed:
        wrapped = await self._sealing.wrap(data_key, place)
        return Sealed(wrapped.key_id, wrapped.wrapped, ciphertext)

    async def _data_key(self, kept: KeptSecret) -> bytes:
        for keys in self._opening:
            if keys.knows(kept.sealed.key_id):
                return await keys.unwrap(kept)
        raise SecretUnreadable(kept)


def encrypt(key: bytes, plain: bytes, place: Place) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, place.associated_data)


def decrypt(key: bytes, encrypted: bytes, place: Place) -> bytes:
    """Raises InvalidTag."""
    nonce, ciphertext = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
    return AESGCM(key).decrypt(nonce, ciphertext, place.associated_data)
