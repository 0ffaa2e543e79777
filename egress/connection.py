"""How to reach what a client has elsewhere, with its credentials."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Connection:
    """One client's. The plug-in that uses it documents the names it reads from each mapping."""

    base_url: str
    credentials: Mapping[str, str]
    options: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        host = urlsplit(self.base_url).netloc.rpartition("@")[2]
        names = f"credentials={sorted(self.credentials)}, options={sorted(self.options)}"
        return f"Connection(host={host!r}, {names})"
