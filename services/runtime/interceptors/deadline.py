"""Makes the time a call has left known to what it calls, and gives a limit to calls that came without."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime import deadline
from services.runtime.errors import DeadlineExceeded
from services.runtime.interceptors.call import Call


class DeadlineConcern:
    """gRPC itself cancels a call whose client set a deadline; only the default is kept here.

    A response stream without a deadline lasts as long as its client listens.
    """

    default_seconds = 30.0

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        # The stubs do not know that a call may have come without a deadline.
        remaining: float | None = call.context.time_remaining()
        if remaining is not None:
            deadline.limit_to(remaining)
            yield
        elif call.method.answers_stream:
            yield
        else:
            seconds = self.default_seconds
            deadline.limit_to(seconds)
            async with deadline.within(seconds, lambda: DeadlineExceeded(f"not done within {seconds:g} s")):
                yield
