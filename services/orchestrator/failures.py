"""How a step goes wrong, by what the run should do about it."""


class Transient(Exception):
    """Try again; `reason` and the message stand in the failure when patience ends."""

    def __init__(
        self, message: str, *, reason: str = "RUN_TIMED_OUT", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        self.nothing_done = False
        """True when it is certain that nothing was written anywhere."""
        self.ended = False
        """True when what was begun may have been done, but is not going on."""
        self.in_turn = False
        """True when the run only waits for its turn, which no patience ends, only a day."""
        self.step = ""
        """Where it is another than the one at which the run stands."""


class Permanent(Exception):
    """Trying again will not help; the message says what happened and what to do."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.step = ""
        """Where it is another than the one at which the run stands."""
