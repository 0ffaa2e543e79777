"""The keys of service tokens in one folder, and their rotation: publish, sign, retire.

Each step replaces one file at a time, and can be interrupted anywhere and repeated. `jwks.json` says itself
when a key was published (`iat`) and until when it is believed (`exp`): a verifier that has the file needs no
other step.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import orjson

from cli.errors import DossierError
from cli.files import replace_file, sync_directory
from services.runtime.tokens import (
    CLOCK_SKEW_SECONDS,
    JWKS_FILE,
    SIGNING_KEY_FILE,
    TOKEN_SECONDS,
    new_signing_key,
    public_half,
)

OVERLAP_SECONDS: Final = TOKEN_SECONDS + CLOCK_SKEW_SECONDS
"""By then the last token that the former key signed for a service has expired."""
_NEXT_FILE: Final = "signing.next.jwk"
_PUBLIC_MODE: Final = 0o644

Jwk = dict[str, Any]


class KeyState(StrEnum):
    PUBLISHED = "published"
    SIGNING = "signing"
    FORMER = "former"
    """It signs no longer, and nobody has said yet when it ends: a rotation was interrupted here."""
    RETIRING = "retiring"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class SigningKey:
    id: str
    state: KeyState
    published_at: int | None
    """Unix time; None for the first key, made with the folder."""
    ends_at: int | None


class SigningKeys:
    """The folder as it is; whoever changes it holds `locked`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._signing = directory / SIGNING_KEY_FILE
        self._next = directory / _NEXT_FILE
        self._jwks = directory / JWKS_FILE

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from changing the keys meanwhile."""
        try:
            descriptor = os.open(self._directory, os.O_RDONLY)
        except OSError as trouble:
            raise self._unreadable(trouble) from trouble
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as busy:
            raise DossierError(
                f"The keys in {self._directory} are being changed by somebody else.",
                hint="Try again when that has ended; `dossier signing-keys list` shows how far it came.",
            ) from busy
        finally:
            os.close(descriptor)

    def all(self, *, now: float) -> Sequence[SigningKey]:
        """Say of every key what it is good for, the newest first."""
        signing = self._id_of(self._signing)
        following = self._id_of(self._next) if self._next.exists() else None
        return [
            SigningKey(
                id=each["kid"],
                state=_state(each, signing=signing, following=following, now=now),
                published_at=each.get("iat"),
                ends_at=each.get("exp"),
            )
            for each in reversed(self._public())
        ]

    def publish(self, *, now: float) -> SigningKey:
        """Make the next key, where there is none yet, and have verifiers believe it."""
        # In a folder without keys there is nothing to be the next of.
        self._id_of(self._signing)
        public = self._public()
        if not self._next.exists():
            replace_file(self._next, orjson.dumps(new_signing_key()))
        following = self._read(self._next)
        if following["kid"] not in {each["kid"] for each in public}:
            self._write_public([*public, {**public_half(following), "iat": int(now)}], now=now)
        return self._one(KeyState.PUBLISHED, now=now)

    def sign_with_published(self, *, now: float) -> SigningKey:
        """Let the published key sign from now on; the former stays good until `retire_former`."""
        if not self._next.exists() or self._id_of(self._next) not in {each["kid"] for each in self._public()}:
            raise DossierError(
                f"No key is published in {self._directory}.",
                hint="`dossier signing-keys publish` makes one; let every service have it before it signs.",
            )
        self._next.rename(self._signing)
        sync_directory(self._directory)
        return self._one(KeyState.SIGNING, now=now)

    def retire_former(self, *, now: float, overlap_seconds: int) -> None:
        """Let the keys that no longer sign end in so many seconds; 0 ends them at once."""
        ends = int(now) + overlap_seconds
        kept = {KeyState.SIGNING, KeyState.PUBLISHED}
        states = {each.id: each.state for each in self.all(now=now)}
        self._write_public(
            [
                each if states[each["kid"]] in kept else {**each, "exp": min(ends, each.get("exp", ends))}
                for each in self._public()
            ],
            now=now,
        )

    def _one(self, state: KeyState, *, now: float) -> SigningKey:
        return next(each for each in self.all(now=now) if each.state is state)

    def _write_public(self, keys: Sequence[Jwk], *, now: float) -> None:
        """Replace the file; what has ended goes."""
        good = [each for each in keys if each.get("exp", now + 1) > now]
        if good != self._public():
            replace_file(self._jwks, orjson.dumps({"keys": good}), mode=_PUBLIC_MODE)

    def _public(self) -> list[Jwk]:
        keys: list[Jwk] = self._read(self._jwks)["keys"]
        return keys

    def _id_of(self, file: Path) -> str:
        return str(self._read(file)["kid"])

    def _read(self, file: Path) -> Jwk:
        try:
            read: Jwk = orjson.loads(file.read_bytes())
        except (OSError, orjson.JSONDecodeError) as trouble:
            raise self._unreadable(trouble) from trouble
        return read

    def _unreadable(self, trouble: Exception) -> DossierError:
        return DossierError(
            f"{self._directory} holds no keys that can be read: {type(trouble).__name__}.",
            hint=f"It has to hold {SIGNING_KEY_FILE} and {JWKS_FILE}; `dossier up` makes an instance's.",
        )


def _state(key: Mapping[str, Any], *, signing: str, following: str | None, now: float) -> KeyState:
    if key["kid"] == signing:
        return KeyState.SIGNING
    if key["kid"] == following:
        return KeyState.PUBLISHED
    if "exp" not in key:
        return KeyState.FORMER
    return KeyState.RETIRING if key["exp"] > now else KeyState.RETIRED
