"""What a look at a whole audit log found, as JSON and in words."""

import re
from typing import Annotated, Final, Protocol

import typer

from cli.output import Json
from cli.words import number_of

BROKEN: Final = 1
"""The exit code where a log is not whole."""


_HASH: Final = re.compile("[0-9a-f]{64}")


def _hash(given: str) -> str:
    if given and not _HASH.fullmatch(given):
        raise typer.BadParameter("64 hexadecimal digits, as `verify` has printed them")
    return given


KnownHashOption = Annotated[
    str,
    typer.Option(callback=_hash, help="A hash noted before: shows that the newest events were not cut off."),
]


class Verdict(Protocol):
    events: int
    head_hash: str
    broken_at: int
    known_hash_found: bool
    removed_events: int


def is_whole(found: Verdict, *, known_hash: str) -> bool:
    return bool(found.events) and not found.broken_at and (not known_hash or found.known_hash_found)


def verdict_json(found: Verdict, *, known_hash: str) -> dict[str, Json]:
    return {
        "whole": is_whole(found, known_hash=known_hash),
        "events": found.events,
        "removed_events": found.removed_events,
        "head_hash": found.head_hash,
        "broken_at": found.broken_at or None,
        "known_hash_found": found.known_hash_found if known_hash else None,
    }


def in_words(found: Verdict, *, whole: bool, empty: str) -> str:
    """`empty` says what it means that there are no events."""
    if found.broken_at:
        return (
            f"The log is broken at event {found.broken_at}: it, or one before it, was changed or taken out."
        )
    if not found.events:
        return empty
    gone = found.removed_events
    if not whole:
        told = "The log fits together, but the known hash is not in it: events were cut off, or written anew."
        return f"{told} Or it was among the {gone} oldest, which the retention has removed." if gone else told
    events = number_of(found.events, "event")
    told = f"The log is whole: {events}. Note the newest one's hash outside: {found.head_hash}."
    return f"{told} The retention has removed {number_of(gone, 'older one')}." if gone else told
