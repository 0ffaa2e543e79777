"""Asks a person before something is lost; a script has to have said so."""

import sys
from typing import Final

import typer

from cli.errors import DossierError
from cli.output import Output

NOT_AGREED: Final = 1
"""The exit code where a person said no."""


def agreed(told: str, question: str, *, hint: str, output: Output) -> bool:
    """Tell whether to go on; where nobody is there to be asked, fail, with `hint` for how to say so."""
    if output.as_json or not sys.stdin.isatty():
        raise DossierError(f"{told} Nobody is there to be asked.", hint=hint)
    return typer.confirm(f"{told} {question}")
