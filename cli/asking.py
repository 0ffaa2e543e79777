"""Asks a person before something is lost; a script has to have said yes."""

import sys

import typer

from cli.errors import DossierError
from cli.output import Output


def agreed(told: str, question: str, *, otherwise: str = "", output: Output) -> bool:
    """Whether to go on; where nobody is there to be asked, an error that names `--yes`."""
    if output.as_json or not sys.stdin.isatty():
        raise DossierError(
            f"{told} Nobody is there to be asked.", hint=f"Say --yes to do it. {otherwise}".strip()
        )
    return typer.confirm(f"{told} {question}")
