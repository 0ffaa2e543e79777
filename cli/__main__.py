"""The `dossier` command."""

import logging
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from cli.errors import DossierError
from cli.output import fail
from cli.verbs import LazyVerbs

_INTERRUPTED = 130

app = typer.Typer(
    name="dossier",
    cls=LazyVerbs,
    help="Cited briefs on incoming tickets. Every verb takes --json.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def overview(
    context: typer.Context,
    *,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if show_version:
        typer.echo(f"dossier {version('dossier')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    as_json = "--json" in sys.argv
    try:
        code = app(standalone_mode=False)
    except DossierError as error:
        fail(error, as_json=as_json)
    except typer.TyperException as misused:
        # Typer reads values by pydantic, whose sentence of a ValueError begins with what is for programmers.
        told = misused.format_message().replace(": Value error, ", ": ", 1)
        usage = DossierError(told, hint="`dossier --help`, or --help after a verb, tells.")
        usage.exit_code = misused.exit_code
        fail(usage, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
