"""The rules written in a contract, asked of a message."""

import protovalidate
from google.protobuf.message import Message

from services.runtime.errors import FieldViolation
from services.runtime.lengths import quick_look


def violations_of(message: Message) -> tuple[FieldViolation, ...]:
    """Every broken rule, with its field's path as in `ticket.tags[2]`; empty for the message as a whole."""
    look = quick_look(message.DESCRIPTOR)
    if look is not None and look(message):
        return ()
    return tuple(_field_violation(each) for each in protovalidate.collect_violations(message))


def _field_violation(violation: protovalidate.Violation) -> FieldViolation:
    elements = violation.proto.field.elements if violation.proto.field else ()
    path = "".join(_step(element) for element in elements).removeprefix(".")
    return FieldViolation(path, violation.proto.message or violation.proto.rule_id or "is not valid")


def _step(element: protovalidate.FieldPathElementPb) -> str:
    subscript = element.subscript
    if subscript is None:
        return f".{element.field_name}"
    return f".{element.field_name}[{subscript.value}]"
