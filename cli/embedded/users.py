"""PostgreSQL refuses to run as root; this picks and equips the user it runs as instead."""

import logging
import os
import pwd
import stat
from pathlib import Path

from cli.program import SystemUser

_log = logging.getLogger(__name__)

_CANDIDATES = ("postgres", "nobody")


def server_user(data: Path) -> SystemUser | None:
    """Whom to run PostgreSQL as: None (ourselves) unless we are root.

    An existing data directory decides, so that a `postgres` user installed later does not lock it out.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat().st_uid) != 0:
        entry = pwd.getpwuid(owner)
        return SystemUser(entry.pw_uid, entry.pw_gid)
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next(known[name] for name in _CANDIDATES if name in known)
    return SystemUser(entry.pw_uid, entry.pw_gid)


def open_way(path: Path, user: SystemUser) -> None:
    """Lets `user` pass through (not list) the folders above `path`: /root is closed to it by default."""
    for parent in path.resolve().parents:
        status = parent.stat()
        if status.st_uid == user.uid:
            needed = stat.S_IXUSR
        elif status.st_gid == user.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            parent.chmod(stat.S_IMODE(status.st_mode) | needed)
            _log.warning("made %s passable (not listable) for the database server's user", parent)
