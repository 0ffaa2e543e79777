"""What can go wrong with a ticketing tool, by what the caller should do about it.

Every error passes all its arguments to `Exception`, because a durable workflow pickles the errors of its
steps and an exception is rebuilt from exactly those.
"""


class MalformedWebhook(Exception):
    """A verified webhook that cannot be read: the sender's template is wrong."""

    def __init__(
        self, message: str, position: tuple[int, int] | None = None, field: str | None = None
    ) -> None:
        super().__init__(message, position, field)
        self.message = message
        self.position = position
        """Line and column, both from 1, where the body stops being JSON."""
        self.field = field
        """The field at fault, dotted from the top of the body."""

    def __str__(self) -> str:
        if self.position is not None:
            return f"{self.message} at line {self.position[0]} column {self.position[1]}"
        return f"{self.field}: {self.message}" if self.field is not None else self.message


class ToolError(Exception):
    """A call to the ticketing tool failed. The message is for an administrator and holds no secret."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class ToolUnavailable(ToolError):
    """Try again later. A write may have been done: look before writing again.

    `answered` when the tool itself has ended the request: what it did not do by then, it will not do.
    """

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered

    def __reduce__(self) -> tuple[type["ToolUnavailable"], tuple[str], dict[str, bool]]:
        return type(self), (self.message,), {"answered": self.answered}


class ToolRateLimited(ToolError):
    """Nothing was done; try again after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.args = (message, retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class ToolRejected(ToolError):
    """Trying again will not help; the text ends with `next_step`, which setting or permission to check."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.args = (message, next_step)
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message}; {self.next_step}" if self.next_step else self.message


class PermissionMissing(ToolRejected):
    """The tool knows who asks, and does not let this account do it."""


class CannotTell(ToolError):
    """What a connection permits is not to be learnt in this way; `next_step` says in which."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.args = (message, next_step)
        self.next_step = next_step


class AddressRefused(ToolRejected):
    """The address leads where this tenant may not reach, or is none; nothing was sent."""


class TicketMissing(ToolError):
    """The tool has no such ticket, or not for this account."""

    def __init__(self, ticket_id: str) -> None:
        super().__init__(f"the ticketing tool has no ticket {ticket_id}")
        self.args = (ticket_id,)
        self.ticket_id = ticket_id


class UnknownTool(Exception):
    """No installed adapter has this name."""

    def __init__(self, name: str, installed: tuple[str, ...]) -> None:
        super().__init__(name, installed)
        self.name = name
        self.installed = installed

    def __str__(self) -> str:
        return f"no ticketing adapter named {self.name!r}; installed: {', '.join(self.installed) or 'none'}"
