"""What must be true before an instance starts: the only supervisor, free ports, no leftovers."""

import errno
import fcntl
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from cli.errors import DossierError
from cli.instance import Instance, InstanceRecord
from cli.ports import Ports

ALREADY_SUPERVISED = 75
_LEFTOVER_SECONDS = 15.0
_FIRST_OTHER_PORT, _LAST_OTHER_PORT, _PORTS_STEP = 18080, 30000, 20


class AlreadySupervised(DossierError):
    exit_code = ALREADY_SUPERVISED


@contextmanager
def only_supervisor(instance: Instance) -> Iterator[None]:
    """Hold the folder's lock; the kernel releases it however we end."""
    instance.make()
    with instance.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise AlreadySupervised(
                f"Another supervisor runs {instance.home}.",
                hint="`dossier status` shows it; `dossier down` stops it.",
            ) from held
        yield


def stop_leftovers(record: InstanceRecord | None) -> tuple[str, ...]:
    """End what a supervisor that died left running, and name it."""
    if record is None:
        return ()
    alive: list[tuple[str, psutil.Process]] = []
    for entry in record.processes:
        process = entry.mark.process() if entry.mark else None
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.Signals(entry.stop_signal))
            alive.append((entry.name, process))
    _, stubborn = psutil.wait_procs([process for _, process in alive], timeout=_LEFTOVER_SECONDS)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return tuple(name for name, _ in alive)


def port_to_use() -> int | None:
    """Choose a port for an instance that may be anywhere: the defaults, or else a range that is free."""
    candidates: tuple[int | None, ...] = (None, *range(_FIRST_OTHER_PORT, _LAST_OTHER_PORT, _PORTS_STEP))
    for port in candidates:
        if all(_is_free(number) for _, number in Ports.starting_at(port).all()):
            return port
    raise DossierError(
        f"No range of ports is free between {_FIRST_OTHER_PORT} and {_LAST_OTHER_PORT}.",
        hint="Stop what listens there, or choose one with --port.",
    )


def require_free(ports: Ports) -> None:
    for name, port in ports.all():
        if not _is_free(port):
            raise DossierError(
                f"Port {port}, which {name} needs, is taken{_holder(port)}.",
                hint="Stop that program, or choose other ports: `dossier up --port 18080` takes that one,"
                " the six after it, the same plus 1000, and one more there for each further gateway.",
            )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Lingering connections of the last run are no obstacle; a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as taken:
            if taken.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def _holder(port: int) -> str:
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""
