"""Why migrating stopped."""


class MigrationError(Exception):
    """The text names the file or step that failed; `hint` says what to do next."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint
