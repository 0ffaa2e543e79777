"""What can go wrong with a knowledge base, by what the caller should do about it.

Messages are for an administrator and hold no secret.
"""


class KnowledgeBaseError(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unavailable(KnowledgeBaseError):
    """Try again later."""


class RateLimited(KnowledgeBaseError):
    """Try again after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Rejected(KnowledgeBaseError):
    """Trying again will not help; the text ends with `next_step`, which setting or permission to check."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message}; {self.next_step}" if self.next_step else self.message


class AddressRefused(Rejected):
    """The address leads where this tenant may not reach, or is none; nothing was sent."""


class TooMuch(KnowledgeBaseError):
    """The answer is larger than is read; ask for less at a time."""


class UnknownConnector(Exception):
    """No installed connector has this name."""

    def __init__(self, name: str, installed: tuple[str, ...]) -> None:
        super().__init__(name, installed)
        self.name = name
        self.installed = installed

    def __str__(self) -> str:
        return f"no connector named {self.name!r}; installed: {', '.join(self.installed) or 'none'}"
