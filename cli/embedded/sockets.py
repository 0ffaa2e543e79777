"""Where the embedded servers' Unix sockets live."""

import hashlib
import os
import tempfile
from pathlib import Path

from cli.embedded.errors import EmbeddedServerError

_LONGEST_SOCKET = ".s.PGSQL.5432.lock"
_PATH_LIMIT = 100
"""Linux allows 107 bytes, macOS 103."""


def socket_directory(home: Path) -> Path:
    """`run/` in the data directory, or a short folder under the temporary one when that path is too long."""
    wanted = home / "run"
    if len(os.fsencode(wanted / _LONGEST_SOCKET)) < _PATH_LIMIT:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        return wanted
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"dossier-{os.getuid()}-{digest}"
    if len(os.fsencode(short / _LONGEST_SOCKET)) >= _PATH_LIMIT:
        short = Path("/tmp") / short.name  # noqa: S108 - checked for its owner below
    short.mkdir(mode=0o700, exist_ok=True)
    if os.getuid() != 0 and short.stat().st_uid != os.getuid():
        raise EmbeddedServerError(
            f"{short} belongs to another user, so the servers' sockets cannot be put there.",
            hint="Use a shorter --data-dir, or set TMPDIR to a folder of your own.",
        )
    return short
