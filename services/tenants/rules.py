"""What a client's settings must keep, beyond what the contract can say."""

from collections.abc import Collection
from dataclasses import dataclass

from services.runtime.errors import InvalidArgument
from services.tenants.errors import ConnectorUnknown, ToolUnknown
from services.tenants.model import NewTenant


@dataclass(frozen=True, slots=True)
class Installed:
    """The names of the plug-ins that there are."""

    tools: Collection[str]
    connectors: Collection[str]


def check_settings(settings: NewTenant, installed: Installed) -> None:
    if settings.ticketing.tool not in installed.tools:
        raise ToolUnknown(settings.ticketing.tool, installed.tools)
    _check_distinct([source.name for source in settings.sources], field="tenant.sources")
    for number, base in enumerate(settings.knowledge_bases):
        if base.connector not in installed.connectors:
            raise ConnectorUnknown(base.connector, installed.connectors, number=number)
    # A brief tells them apart by their names alone.
    names = [source.name for source in settings.sources] + [base.name for base in settings.knowledge_bases]
    _check_distinct(names, field="tenant.knowledge_bases")


def _check_distinct(names: list[str], *, field: str) -> None:
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InvalidArgument(f"names {repeated} twice", field=field)
