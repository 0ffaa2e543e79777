"""Free ports for a mesh of a test's own."""

import itertools
import secrets
import socket

from cli.ports import Ports


def free_mesh_port() -> int:
    """Find a gateway port whose whole range is free, below what the system hands out by itself."""
    for port in itertools.islice(iter(lambda: secrets.randbelow(18_000) + 12_000, None), 200):
        if all(_free(number) for _, number in Ports.starting_at(port, gateways=2).all()):
            return port
    raise AssertionError("no free range of ports")


def free_port() -> int:
    """Find one such port."""
    return next(port for port in iter(lambda: secrets.randbelow(18_000) + 12_000, None) if _free(port))


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
