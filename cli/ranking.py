"""A client's own weights and floors of its searches, as options."""

from collections.abc import Mapping

from cli.errors import UsageError
from dossier.tenants.v1.retrieval_pb2 import RetrievalSettings

METAVAR = "0-1|default"
_DEFAULT = "default"


def retrieval_of(given: Mapping[str, str | None]) -> RetrievalSettings:
    """Read options by their paths within the settings; what is as by default is left out, and so cleared."""
    settings = RetrievalSettings()
    for path, value in given.items():
        if value is None or value == _DEFAULT:
            continue
        kind, _, name = path.partition(".")
        setattr(getattr(settings, kind), name, _share(value, path))
    return settings


def _share(value: str, path: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        kind, _, name = path.partition(".")
        raise UsageError(
            f"--{kind}-{name.removesuffix('_share')}: {value!r} is no share.",
            hint=f"Give a number from 0 to 1, or {_DEFAULT}.",
        )
    return share
