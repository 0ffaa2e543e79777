"""`demo`: the whole thing on sample data, from a reported incident to the note on it."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.mesh import PortOption
from cli.demo.story import tell
from cli.embedded.sockets import socket_directory
from cli.instance import Instance
from cli.output import JsonOption, Output
from cli.supervisor.ground import port_to_use


def demo(
    *,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Leave it running until Ctrl-C, which drains.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            help="Where to keep its data; else a temporary folder, removed in the end.",
            file_okay=False,
        ),
    ] = None,
    port: PortOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start everything, load a sample client, send a signed webhook, show the brief, and stop.

    Runs beside an instance of your own: in a folder and, if need be, on ports of its own.
    """
    with _interrupted_by_any_signal(), _home(data_dir) as home:
        tell(
            Instance(home),
            port=port or port_to_use(),
            keep_running=keep_running,
            output=Output(as_json=as_json),
        )


@contextmanager
def _home(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir.expanduser().absolute()
        return
    home = Path(tempfile.mkdtemp(prefix="dossier-demo-"))
    try:
        yield home
    finally:
        sockets = socket_directory(home)
        for folder in (home, sockets):
            shutil.rmtree(folder, ignore_errors=folder == sockets)


@contextmanager
def _interrupted_by_any_signal() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C: tidily."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
