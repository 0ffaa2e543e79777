"""What a client's settings must keep, beyond what the contract can say."""

from collections.abc import Collection

from services.runtime.errors import InvalidArgument
from services.tenants.errors import ToolUnknown
from services.tenants.model import NewTenant


def check_settings(settings: NewTenant, tools: Collection[str]) -> None:
    if settings.ticketing.tool not in tools:
        raise ToolUnknown(settings.ticketing.tool, tools)
    names = [source.name for source in settings.sources]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InvalidArgument(f"names {repeated} twice", field="tenant.sources")
