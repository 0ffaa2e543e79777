"""A program to run as a child: what to start, as whom, and how to ask it to stop."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class SystemUser:
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The whole environment, not an addition: a child sees what we composed."""
    user: SystemUser | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    """Asks for an orderly end; also what it gets when its supervisor dies."""

    def launch_argv(self) -> list[str]:
        """Compose the command that starts the program bound to the life of the calling process."""
        user = f"{self.user.uid}:{self.user.gid}" if self.user else "-"
        bound = [str(_LAUNCHER), str(os.getpid()), str(int(self.stop_signal)), user]
        return [sys.executable, "-I", "-S", *bound, *self.argv]
