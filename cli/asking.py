"""Asks a person before something is lost; a script has to have said so."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
    with _interruptible():
        return typer.confirm(f"{told} {question}")


def typed(question: str) -> str:
    """What a person types; whoever asks has seen to it that somebody is there."""
    with _interruptible():
        answer: str = typer.prompt(question)
        return answer


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let the first Ctrl-C end the question. A loop's own handler only cancels a task, which waits here.

    Only the main thread is sent signals, and may say what becomes of them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
