"""Which events of an audit log are wanted and shown, and what the API keys in them are called."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.output import Json, Output
from cli.paging import pages
from cli.show.tenants import event_json, events_table
from cli.words import moment, number_of
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.audit_pb2 import AuditEvent

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

_PAGE: Final = 500
_MOMENTS: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]

WhoOption = Annotated[
    str, typer.Option(help="Only by whoever has this in their name: a user, a key's id or name, a process.")
]
WhatOption = Annotated[
    str, typer.Option(help="Only those with this in the action, in what was changed or in its fields.")
]
SinceOption = Annotated[
    datetime | None,
    typer.Option(formats=_MOMENTS, metavar="DAY|TIME", help="Only those made since then, UTC."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    who: str
    what: str
    since: datetime | None

    def among(self, events: Iterable[AuditEvent], names: Mapping[str, str]) -> list[AuditEvent]:
        return [event for event in events if self._is(event, names)]

    def _is(self, event: AuditEvent, names: Mapping[str, str]) -> bool:
        made = moment(event.create_time)
        if self.since is not None and (made is None or made < self.since.replace(tzinfo=UTC)):
            return False
        makers = (event.principal, event.subject, names.get(event.principal, ""))
        things = (event.action, event.resource, *(change.field for change in event.changes))
        return _in_any(self.who, makers) and _in_any(self.what, things)


def show_wanted(
    every: Sequence[AuditEvent],
    wanted: Wanted,
    names: Mapping[str, str],
    *,
    output: Output,
    **beside: Json,
) -> None:
    """End a verb with those of a log that are wanted; `beside` goes before them under --json."""
    events = wanted.among(every, names)
    none = f"None of {number_of(len(every), 'event')} is such." if every else "Nothing was changed yet."
    output.result(
        {**beside, "events": [event_json(event, names) for event in events]},
        shown=events_table(events, names) if events else none,
    )


async def names_of_keys(tenants: "TenantServiceAsyncStub", tenant_id: str | None) -> dict[str, str]:
    """The names of the provider's keys and, where one is named, of a client's, by their ids."""
    ours = pages(tenants.ListOperatorKeys, pb.ListOperatorKeysRequest(page_size=_PAGE))
    named = {key.id: key.display_name async for page in ours for key in page.keys}
    if tenant_id is not None:
        theirs = pages(tenants.ListApiKeys, pb.ListApiKeysRequest(tenant_id=tenant_id, page_size=_PAGE))
        named |= {key.id: key.display_name async for page in theirs for key in page.keys}
    return {key: name for key, name in named.items() if name}


def _in_any(wanted: str, texts: Iterable[str]) -> bool:
    return any(wanted.casefold() in text.casefold() for text in texts)
