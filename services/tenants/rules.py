"""What a client's settings must keep, beyond what the contract can say."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.runtime.errors import InvalidArgument
from services.tenants.errors import ConnectorUnknown, ToolUnknown
from services.tenants.model import KnowledgeBaseMode, NewTenant


@dataclass(frozen=True, slots=True)
class Installed:
    """The plug-ins that there are, and the options that each knows."""

    tools: Mapping[str, Collection[str]]
    connectors: Mapping[str, Collection[str]]
    searchable: Collection[str]
    """The connectors whose knowledge bases can be searched."""


def check_settings(settings: NewTenant, installed: Installed, *, before: NewTenant | None = None) -> None:
    """Of what was so before, options may be unknown: an adapter may have forgotten one."""
    tool = settings.ticketing.tool
    if tool not in installed.tools:
        raise ToolUnknown(tool, installed.tools)
    if before is None or settings.ticketing != before.ticketing:
        _check_options(
            settings.ticketing.options, tool, installed.tools[tool], field="tenant.ticketing.options"
        )
    _check_distinct([source.name for source in settings.sources], field="tenant.sources")
    for number, base in enumerate(settings.knowledge_bases):
        if base.connector not in installed.connectors:
            raise ConnectorUnknown(base.connector, installed.connectors, number=number)
        if before is None or base not in before.knowledge_bases:
            known = installed.connectors[base.connector]
            field = f"tenant.knowledge_bases[{number}].options"
            _check_options(base.options, base.connector, known, field=field)
        if base.mode is not KnowledgeBaseMode.SYNC and base.connector not in installed.searchable:
            raise InvalidArgument(
                f"what {base.connector} reads cannot be searched there; set sync",
                field=f"tenant.knowledge_bases[{number}].mode",
            )
    # A brief tells them apart by their names alone.
    names = [source.name for source in settings.sources] + [base.name for base in settings.knowledge_bases]
    _check_distinct(names, field="tenant.knowledge_bases")


def _check_options(given: Mapping[str, str], plug_in: str, known: Collection[str], *, field: str) -> None:
    # What an adapter does not read may be meant as a credential, and options are shown and logged.
    for name in given:
        if name not in known:
            there_are = f"there are: {', '.join(sorted(known))}" if known else "there are none"
            raise InvalidArgument(f"{plug_in} has no option {name}; {there_are}", field=f"{field}.{name}")


def _check_distinct(names: list[str], *, field: str) -> None:
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InvalidArgument(f"names {repeated} twice", field=field)
