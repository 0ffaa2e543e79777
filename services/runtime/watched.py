"""Files that are replaced from outside while we run: keys and certificates."""

import os
from pathlib import Path


class WatchedFiles:
    """Files that belong together; their inodes count, since Kubernetes swaps a link."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._seen: tuple[tuple[int, int], ...] | None = None

    def changed(self) -> bool:
        try:
            return self._versions() != self._seen
        except FileNotFoundError:
            return False

    def read(self) -> list[bytes]:
        # The versions are taken first: a write in between is then noticed next time.
        self._seen = self._versions()
        return [path.read_bytes() for path in self._paths]

    def _versions(self) -> tuple[tuple[int, int], ...]:
        return tuple(_version(path) for path in self._paths)


def _version(path: Path) -> tuple[int, int]:
    stat = os.stat(path)  # noqa: PTH116 - on every call; a Path method costs twice as much
    return stat.st_mtime_ns, stat.st_ino
