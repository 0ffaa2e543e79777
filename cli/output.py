"""What the command prints: words for people, or with --json one object and nothing else."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, NoReturn, TypeAlias

import orjson
import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.panel import Panel

from cli.errors import DossierError

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")
]

_PIPE_WIDTH: Final = 160


class Output:
    """Where one verb's words go."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(quiet=as_json)
        """Silent under --json, so tables need no condition around them."""
        self.progress = Console(stderr=True, quiet=as_json)
        """For what is gone when a verb has ended; whoever pipes the result does not want it."""
        if not self.console.is_terminal and "COLUMNS" not in os.environ:
            # A file or a pipe has no edge at which to cut.
            self.console.width = _PIPE_WIDTH

    @property
    def live(self) -> bool:
        """Whether a person watches: a table may redraw itself."""
        return self.progress.is_terminal and not self.as_json

    def result(self, data: Mapping[str, Json], *, shown: RenderableType | None = None) -> None:
        """End a verb: `data` under --json, `shown` otherwise."""
        if self.as_json:
            sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode() + "\n")
            sys.stdout.flush()
        elif shown is not None:
            self.console.print(shown)


def fail(error: DossierError, *, as_json: bool) -> NoReturn:
    """Report an error, with the next step, on standard error and exit."""
    if as_json:
        body = {"error": {"reason": error.reason or None, "message": str(error), "hint": error.hint}}
        sys.stderr.write(orjson.dumps(body).decode() + "\n")
    else:
        text = (
            f"{escape(str(error))}\n\n[dim]{escape(error.hint)}[/dim]" if error.hint else escape(str(error))
        )
        Console(stderr=True).print(Panel(text, title="dossier", title_align="left", border_style="red"))
    sys.exit(error.exit_code)
