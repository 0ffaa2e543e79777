"""A quick look at messages whose rules are about lengths and presence only.

It takes a tenth of the time of the general evaluation, which is asked what is wrong where something may be.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from buf.validate import validate_pb2

Look = Callable[[Message], bool]


@cache
def quick_look(message: Descriptor) -> Look | None:
    """Make what says whether a message surely keeps its rules; None where there are rules of other kinds."""
    try:
        return _look_at(message, ())
    except _NotSimple:
        return None


class _NotSimple(Exception):
    """There are other rules."""


def _look_at(message: Descriptor, within: tuple[Descriptor, ...]) -> Look:
    if message in within or _has_rules_of_its_own(message):
        raise _NotSimple
    texts: list[tuple[str, int, float]] = []
    looks: list[Look] = []
    for field in message.fields:
        rules = _rules(field.GetOptions(), validate_pb2.field)
        if field.message_type is not None:
            looks.append(_at_messages(field, rules, _look_at(field.message_type, (*within, message))))
        elif field.is_repeated:
            looks.append(_at_list(field, rules))
        elif rules.ListFields():
            _only(rules, "string")
            if field.has_presence:
                raise _NotSimple
            texts.append((field.name, *_lengths(rules.string)))

    def look(this: Message) -> bool:
        for name, least, most in texts:
            if not least <= len(getattr(this, name)) <= most:
                return False
        return all(each(this) for each in looks)

    return look


def _rules(options: Any, extension: Any) -> Any:
    """What the contract says in an option; the stubs do not know the extension's type."""
    return options.Extensions[extension]


def _has_rules_of_its_own(message: Descriptor) -> bool:
    if _rules(message.GetOptions(), validate_pb2.message).ListFields():
        return True
    return any(_rules(each.GetOptions(), validate_pb2.oneof).ListFields() for each in message.oneofs)


def _at_messages(field: FieldDescriptor, rules: validate_pb2.FieldRules, inside: Look) -> Look:
    _only(rules, "repeated", "required")
    name, required = field.name, rules.required
    if not field.is_repeated:
        return lambda this: inside(getattr(this, name)) if this.HasField(name) else not required
    _only(rules, "repeated")
    _only(rules.repeated, "min_items", "max_items")
    least, most = _items(rules.repeated)
    return lambda this: least <= len(getattr(this, name)) <= most and all(map(inside, getattr(this, name)))


def _at_list(field: FieldDescriptor, rules: validate_pb2.FieldRules) -> Look:
    _only(rules, "repeated")
    _only(rules.repeated, "min_items", "max_items", "items")
    _only(rules.repeated.items, "string")
    name, (least, most) = field.name, _items(rules.repeated)
    if not rules.repeated.HasField("items"):
        return lambda this: least <= len(getattr(this, name)) <= most
    shortest, longest = _lengths(rules.repeated.items.string)
    return lambda this: (
        least <= len(getattr(this, name)) <= most
        and all(shortest <= len(each) <= longest for each in getattr(this, name))
    )


def _items(rules: validate_pb2.RepeatedRules) -> tuple[int, float]:
    return rules.min_items, rules.max_items if rules.HasField("max_items") else float("inf")


def _lengths(rules: validate_pb2.StringRules) -> tuple[int, float]:
    _only(rules, "min_len", "max_len")
    return rules.min_len, rules.max_len if rules.HasField("max_len") else float("inf")


def _only(rules: Message, *names: str) -> None:
    if any(field.name not in names for field, _ in rules.ListFields()):
        raise _NotSimple
