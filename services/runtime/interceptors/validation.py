"""Refuses messages that break the rules written in their contract."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import protovalidate
from google.protobuf.message import Message

from services.runtime.errors import FieldViolation, InvalidFields
from services.runtime.interceptors.call import Call


class ValidationConcern:
    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:  # noqa: ARG002 - it only looks at messages
        yield

    def received(self, call: Call, message: Message) -> None:  # noqa: ARG002
        violations = protovalidate.collect_violations(message)
        if violations:
            raise InvalidFields(tuple(_field_violation(each) for each in violations))


def _field_violation(violation: protovalidate.Violation) -> FieldViolation:
    elements = violation.proto.field.elements if violation.proto.field else ()
    path = "".join(_step(element) for element in elements).removeprefix(".")
    return FieldViolation(path, violation.proto.message or violation.proto.rule_id or "is not valid")


def _step(element: protovalidate.FieldPathElementPb) -> str:
    subscript = element.subscript
    if subscript is None:
        return f".{element.field_name}"
    return f".{element.field_name}[{subscript.value}]"
