"""Reads requests, which is what the tool calls tickets."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from aiohttp import ClientSession

from egress.connection import Connection
from ticketing.errors import TicketMissing
from ticketing.model import Ticket
from ticketing.plain_text import plain_text
from ticketing.servicedesk_plus.client import Call, call
from ticketing.servicedesk_plus.site import Site
from ticketing.servicedesk_plus.wire import Request, RequestList, RequestReply, ResolutionReply

ROWS_PER_PAGE: Final = 100  # the most the API gives
_ROW_FIELDS: Final = ["id", "status", "last_updated_time", "resolved_time", "completed_time"]


def ticket_of(request: Request, *, url: str) -> Ticket:
    status, requester, resolution = request.status, request.requester, request.resolution
    return Ticket(
        id=request.id,
        display_id=request.display_id or request.id,
        url=url,
        subject=plain_text(request.subject),
        description=plain_text(request.description),
        requester=requester.name if requester else "",
        requester_email=requester.email_id if requester else "",
        priority=request.priority,
        category=request.category,
        site=request.site,
        status=(status.name or status.internal_name) if status else "",
        resolved=request.resolved,
        resolution=(plain_text(resolution.content) or None) if resolution else None,
        created=request.created_time,
        updated=request.last_updated_time,
        tags=tuple(tag.name for tag in request.tags or () if tag.name),
        organisation=request.account,
    )


async def read_ticket(http: ClientSession, connection: Connection, ticket_id: str) -> Ticket:
    site = Site.of(connection)
    this = Call("GET", site.request(ticket_id), "read the request", ticket_id)
    request = (await call(http, site, this, RequestReply)).request
    if request.resolved and (request.resolution is None or not request.resolution.content):
        # Cloud keeps the resolution beside the request.
        this = Call("GET", site.request(ticket_id, "resolutions"), "read the resolution", ticket_id)
        resolution = (await call(http, site, this, ResolutionReply)).resolution
        request = request.model_copy(update={"resolution": resolution})
    return ticket_of(request, url=site.page(ticket_id))


async def list_resolved(
    http: ClientSession, connection: Connection, *, since: datetime
) -> AsyncIterator[Ticket]:
    """Page by the time of the last change rather than by a deep offset, which drifts as tickets change.

    What changes while this runs leaves the window, and is the next call's.
    """
    site = Site.of(connection)
    until = datetime.now(UTC)
    low, start_index = since, 1
    seen: set[str] = set()
    while True:
        page = await changed_between(http, site, low=low, until=until, start_index=start_index)
        for row in page.requests:
            if row.id in seen or not row.resolved:
                continue
            try:
                yield await read_ticket(http, connection, row.id)
            except TicketMissing:
                continue  # deleted since it was listed
        if not page.list_info.has_more_rows or not page.requests:
            return
        last = max((row.last_updated_time for row in page.requests if row.last_updated_time), default=low)
        if last > low:
            # The next page begins within this one's last instant, so that a tie is not cut apart.
            seen = {row.id for row in page.requests if row.last_updated_time == last}
            low, start_index = last, 1
        else:
            seen |= {row.id for row in page.requests}
            start_index += len(page.requests)


async def changed_between(
    http: ClientSession,
    site: Site,
    *,
    low: datetime,
    until: datetime,
    start_index: int = 1,
) -> RequestList:
    """List requests by their last change, the oldest first."""
    window = [str(int(moment.timestamp() * 1000)) for moment in (low, until)]
    list_info = {
        "row_count": ROWS_PER_PAGE,
        "start_index": start_index,
        "sort_field": "last_updated_time",
        "sort_order": "asc",
        "search_criteria": [{"field": "last_updated_time", "condition": "between", "values": window}],
        "fields_required": _ROW_FIELDS,
    }
    this = Call(
        "GET", f"{site.api}/requests", "list requests", input_data=json.dumps({"list_info": list_info})
    )
    return await call(http, site, this, RequestList)
