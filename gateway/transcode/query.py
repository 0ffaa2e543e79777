"""Query parameters and path variables into the fields of a message."""

from collections.abc import Container
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.errors import FieldInvalid, FieldUnknown
from gateway.transcode.body import assign, descriptor_of, field_named, is_map
from gateway.transcode.values import ValueProblem, is_leaf, leaf_from_text

_MOST_PARAMETERS = 200


def fill_from_query(message: Message, query: str, *, elsewhere: Container[str]) -> None:
    """Set `field=value`, `outer.inner=value`, `list=a&list=b`; `elsewhere` is what path and body carry."""
    seen: set[str] = set()
    for name, text in _parameters(query):
        owner, field = _target(message, name)
        if name.partition(".")[0] in elsewhere:
            raise FieldInvalid(name, "is not taken from the query here")
        if name in seen and not field.is_repeated:
            raise FieldInvalid(name, "is given twice")
        seen.add(name)
        set_from_text(owner, field, text, path=name)


def set_from_text(owner: Message, field: FieldDescriptor, text: str, *, path: str) -> None:
    try:
        value = leaf_from_text(field, text)
    except ValueProblem as problem:
        raise FieldInvalid(path, str(problem)) from None
    if field.is_repeated:
        items: Any = getattr(owner, field.name)
        items.append(value)
    else:
        assign(owner, field, value)


def _parameters(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError:
        raise FieldInvalid("query", f"must be at most {_MOST_PARAMETERS} `name=value` in UTF-8") from None


def _target(message: Message, path: str) -> tuple[Message, FieldDescriptor]:
    """Walk `outer.inner` to the message that has the last field."""
    *outer, last = path.split(".")
    owner = message
    for step in outer:
        field = field_named(descriptor_of(owner), step)
        if field is None or field.is_repeated or is_leaf(field):
            raise FieldUnknown(path, _takeable(owner))
        owner = getattr(owner, field.name)
    field = field_named(descriptor_of(owner), last)
    if field is None or is_map(field) or not is_leaf(field):
        raise FieldUnknown(path, _takeable(owner))
    return owner, field


def _takeable(owner: Message) -> list[str]:
    return [field.name for field in descriptor_of(owner).fields if not is_map(field)]
