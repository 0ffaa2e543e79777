"""What a user of the command gets instead of a traceback."""


class DossierError(Exception):
    """The text says what happened; `hint` says what to do next.

    `reason` is the service's own, where one refused: what a program decides by.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str, reason: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.reason = reason


class UsageError(DossierError):
    """The command line is not understood: what it says is missing, of the wrong kind or contradictory."""

    exit_code = 2
