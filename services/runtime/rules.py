"""The rules written in a contract, asked of a message."""

from typing import Any

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from buf.validate import validate_pb2
from services.runtime.errors import FieldViolation
from services.runtime.lengths import quick_look


def violations_of(message: Message) -> tuple[FieldViolation, ...]:
    """Every broken rule, with its field's path as in `ticket.tags[2]`; empty for the message as a whole."""
    look = quick_look(message.DESCRIPTOR)
    if look is not None and look(message):
        return ()
    kind: Any = message.DESCRIPTOR
    return tuple(_field_violation(each, kind) for each in protovalidate.collect_violations(message))


def _field_violation(violation: protovalidate.Violation, kind: Descriptor) -> FieldViolation:
    elements = violation.proto.field.elements if violation.proto.field else ()
    path = "".join(_step(element) for element in elements).removeprefix(".")
    names = [element.field_name for element in elements]
    told = _in_words(violation.proto.rule_id, _field_at(names, kind))
    return FieldViolation(path, told or violation.proto.message or violation.proto.rule_id or "is not valid")


def _in_words(rule: str, field: FieldDescriptor | None) -> str:
    """What a caller can act on, where the rule's own text is numbers or an expression; else nothing."""
    if field is None:
        return ""
    options: Any = field.GetOptions()
    rules = options.Extensions[validate_pb2.field]
    own = rules.repeated.items if field.is_repeated else rules
    if rule == "enum.in" and field.enum_type is not None:
        allowed = getattr(own.enum, "in")
        return f"must be one of {', '.join(field.enum_type.values_by_number[each].name for each in allowed)}"
    if rule == "string.pattern" and own.string.example:
        return f"must be written like {' or '.join(own.string.example)}"
    return ""


def _field_at(names: list[str], kind: Descriptor) -> FieldDescriptor | None:
    """None inside of maps, and where it is the message as a whole."""
    field = None
    within: Descriptor | None = kind
    for name in names:
        field = within.fields_by_name.get(name) if within is not None else None
        within = field.message_type if field is not None else None
    return field


def _step(element: protovalidate.FieldPathElementPb) -> str:
    subscript = element.subscript
    if subscript is None:
        return f".{element.field_name}"
    return f".{element.field_name}[{subscript.value}]"
