"""Why an embedded server could not be had."""


class EmbeddedServerError(Exception):
    """The text says what happened; `hint` says what to do next."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint
