"""How two states of a thing differ, in texts that are short and tell no secret."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import orjson

from services.runtime.masking import masked

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MOST_CHARACTERS: Final = 200
"""What is told of a text, and of all that is in a list."""
_CUT: Final = "…"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """`before` and `after` are JSON text, empty where the field was not set."""

    field: str
    before: str
    after: str


def differences(
    before: "DataclassInstance | None", after: "DataclassInstance | None", *, without: Collection[str] = ()
) -> tuple[FieldChange, ...]:
    """Field by field; None is a thing that is not there."""
    return changed(_fields(before, without), _fields(after, without))


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[FieldChange, ...]:
    """What is empty, 0 or not named counts as not set."""
    return tuple(
        FieldChange(name, _told(before.get(name)), _told(after.get(name)))
        for name in {**before, **after}
        if (before.get(name) or None) != (after.get(name) or None)
    )


def _fields(thing: "DataclassInstance | None", without: Collection[str]) -> dict[str, object]:
    if thing is None:
        return {}
    return {each.name: getattr(thing, each.name) for each in fields(thing) if each.name not in without}


def _told(value: object) -> str:
    if not value:
        return ""
    if isinstance(value, bool | int | float):
        return orjson.dumps(value).decode()
    if isinstance(value, tuple | list):
        return orjson.dumps(list(_some_of(value))).decode()
    return orjson.dumps(_short(str(value))).decode()


def _some_of(values: Collection[object]) -> Iterator[str]:
    left = MOST_CHARACTERS
    for value in values:
        text = _short(str(value))
        if left < len(text):
            yield _CUT
            return
        left -= len(text) or 1
        yield text


def _short(text: str) -> str:
    # PostgreSQL keeps no NUL, and no half of a character can be written at all.
    whole = masked(text).replace("\0", "\ufffd").encode(errors="replace").decode()
    return whole if len(whole) <= MOST_CHARACTERS else whole[:MOST_CHARACTERS] + _CUT
