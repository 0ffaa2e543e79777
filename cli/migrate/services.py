"""Which services own a schema, and where their migrations are."""

from dataclasses import dataclass
from pathlib import Path

_SERVICES = Path(__file__).resolve().parents[2] / "services"


@dataclass(frozen=True, slots=True)
class MigratedService:
    name: str
    migrations: Path

    @property
    def schema(self) -> str:
        return self.name

    @property
    def role(self) -> str:
        return f"dossier_{self.name}"

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(sorted(path.name for path in self.migrations.glob("*.sql")))


def migrated_services(root: Path = _SERVICES) -> tuple[MigratedService, ...]:
    names = ("tenants", "history", "knowledge", "network", "synthesis", "orchestrator")
    return tuple(MigratedService(name, root / name / "migrations") for name in names)
