"""Which process listens where."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SERVICES = ("orchestrator", "history", "knowledge", "network", "synthesis", "tenants")
WORKLOADS = ("gateway", *SERVICES)
DEFAULT_GATEWAY = 8080
_DEFAULT_FIRST_SERVICE = 50051
_METRICS_OFFSET = 1000


@dataclass(frozen=True, slots=True)
class Ports:
    gateway: int
    first_service: int
    gateways: int = 1
    """How many gateways listen on the one port."""

    @classmethod
    def starting_at(cls, port: int | None, *, gateways: int = 1) -> "Ports":
        """Take the gateway's port and the six after it; without one, the documented defaults."""
        if port is None:
            return cls(DEFAULT_GATEWAY, _DEFAULT_FIRST_SERVICE, gateways)
        return cls(port, port + 1, gateways)

    @property
    def gateway_names(self) -> Sequence[str]:
        return ["gateway", *(f"gateway-{number}" for number in range(2, self.gateways + 1))]

    def serving(self, name: str) -> int:
        """HTTP for the gateways, gRPC for the others."""
        return self.gateway if name in self.gateway_names else self.first_service + SERVICES.index(name)

    def metrics(self, name: str) -> int:
        """A port of its own for every process; those of further gateways come after the services'."""
        if name in self.gateway_names[1:]:
            further = self.gateway_names[1:].index(name)
            return self.first_service + len(SERVICES) + further + _METRICS_OFFSET
        return self.serving(name) + _METRICS_OFFSET

    def all(self) -> Iterator[tuple[str, int]]:
        """Every port with the name of its process."""
        for name in WORKLOADS:
            yield name, self.serving(name)
        for name in (*self.gateway_names, *SERVICES):
            yield f"{name} metrics", self.metrics(name)
