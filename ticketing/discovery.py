"""Finds the installed adapters, so that no tool's name appears outside its own package."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType

from ticketing.contract import TicketingTool
from ticketing.errors import UnknownTool

ENTRY_POINT_GROUP = "dossier.ticketing"


def load_tools() -> Mapping[str, TicketingTool]:
    """Return every installed adapter by its name. An adapter that does not load stops the start."""
    tools: dict[str, TicketingTool] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        tool: TicketingTool = entry.load()()
        if tool.name != entry.name:
            raise ValueError(f"entry point {entry.name!r} leads to the adapter {tool.name!r}: {entry.value}")
        tools[tool.name] = tool
    return MappingProxyType(tools)


def tool_named(tools: Mapping[str, TicketingTool], name: str) -> TicketingTool:
    try:
        return tools[name]
    except KeyError:
        raise UnknownTool(name, tuple(sorted(tools))) from None
