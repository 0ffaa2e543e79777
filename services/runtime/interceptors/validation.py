"""Refuses messages that break the rules written in their contract."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.protobuf.message import Message

from services.runtime.errors import InvalidFields
from services.runtime.interceptors.call import Call
from services.runtime.rules import violations_of


class ValidationConcern:
    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:  # noqa: ARG002 - it only looks at messages
        yield

    def received(self, call: Call, message: Message) -> None:  # noqa: ARG002
        violations = violations_of(message)
        if violations:
            raise InvalidFields(violations)
