"""Which process listens where."""

from collections.abc import Iterator
from dataclasses import dataclass

SERVICES = ("orchestrator", "history", "knowledge", "network", "synthesis", "tenants")
DEFAULT_GATEWAY = 8080
_DEFAULT_FIRST_SERVICE = 50051
_METRICS_OFFSET = 1000


@dataclass(frozen=True, slots=True)
class Ports:
    gateway: int
    first_service: int

    @classmethod
    def starting_at(cls, port: int | None) -> "Ports":
        """Take the gateway's port and the six after it; without one, the documented defaults."""
        if port is None:
            return cls(DEFAULT_GATEWAY, _DEFAULT_FIRST_SERVICE)
        return cls(port, port + 1)

    def serving(self, name: str) -> int:
        """HTTP for the gateway, gRPC for the others."""
        return self.gateway if name == "gateway" else self.first_service + SERVICES.index(name)

    def metrics(self, name: str) -> int:
        return self.serving(name) + _METRICS_OFFSET

    def all(self) -> Iterator[tuple[str, int]]:
        """Every port with the name of its process."""
        for name in ("gateway", *SERVICES):
            yield name, self.serving(name)
            yield f"{name} metrics", self.metrics(name)
