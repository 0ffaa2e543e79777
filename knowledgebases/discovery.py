"""Finds the installed connectors, so that no knowledge base's name appears outside its own package."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType

from knowledgebases.contract import Connector
from knowledgebases.errors import UnknownConnector

ENTRY_POINT_GROUP = "dossier.knowledge_bases"


def load_connectors() -> Mapping[str, Connector]:
    """Return every installed connector by its name. One that does not load stops the start."""
    connectors: dict[str, Connector] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        connector: Connector = entry.load()()
        if connector.name != entry.name:
            raise ValueError(f"entry point {entry.name!r} leads to {connector.name!r}: {entry.value}")
        connectors[connector.name] = connector
    return MappingProxyType(connectors)


def connector_named(connectors: Mapping[str, Connector], name: str) -> Connector:
    try:
        return connectors[name]
    except KeyError:
        raise UnknownConnector(name, tuple(sorted(connectors))) from None
