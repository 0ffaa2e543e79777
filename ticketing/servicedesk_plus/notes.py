"""Posts a private note, and finds it again by its marker."""

import html
import json
import re
from typing import Final

from aiohttp import ClientSession

from egress.connection import Connection
from ticketing.errors import ToolRejected
from ticketing.model import PostedNote
from ticketing.plain_text import plain_text
from ticketing.servicedesk_plus.client import Call, call
from ticketing.servicedesk_plus.site import Site
from ticketing.servicedesk_plus.wire import Note, NoteList, NoteReply

_ROWS_PER_PAGE: Final = 100
_MOST_NOTES: Final = 5_000
_WRAPPER: Final = {"onprem": "note", "cloud": "request_note"}


async def post_note(
    http: ClientSession, connection: Connection, ticket_id: str, *, body: str, marker: str
) -> PostedNote:
    site = Site.of(connection)
    note = {
        # The tool removes comments and hidden elements, so the marker is small but to be seen.
        "description": f"{body}<p><small>{html.escape(marker)}</small></p>",
        # Shown to the requester, it would also be mailed to them.
        "show_to_requester": False,
        "notify_technician": False,
        "mark_first_response": False,
        "add_to_linked_requests": False,
    }
    this = Call(
        "POST",
        site.request(ticket_id, "notes"),
        "add a note",
        ticket_id,
        json.dumps({_WRAPPER[site.edition]: note}),
    )
    posted = (await call(http, site, this, NoteReply)).note
    return PostedNote(id=posted.id, url=site.page(ticket_id))


async def find_note(
    http: ClientSession, connection: Connection, ticket_id: str, *, marker: str
) -> PostedNote | None:
    site = Site.of(connection)
    # Whole, so that the marker of id 12 is not found in a note of id 123.
    marked = re.compile(rf"(?<![\w-]){re.escape(' '.join(marker.split()))}(?![\w-])")
    for start_index in range(1, _MOST_NOTES, _ROWS_PER_PAGE):
        list_info = {"row_count": _ROWS_PER_PAGE, "start_index": start_index}
        this = Call(
            "GET",
            site.request(ticket_id, "notes"),
            "list notes",
            ticket_id,
            json.dumps({"list_info": list_info}),
        )
        page = await call(http, site, this, NoteList)
        for note in page.notes:
            text = plain_text(await _description(http, site, ticket_id, note))
            if marked.search(" ".join(text.split())):
                return PostedNote(id=note.id, url=site.page(ticket_id))
        if not page.list_info.has_more_rows or not page.notes:
            return None
    raise ToolRejected(f"cannot look for a note: request {ticket_id} has more than {_MOST_NOTES} notes")


async def _description(http: ClientSession, site: Site, ticket_id: str, note: Note) -> str:
    if note.description is not None:
        return note.description
    this = Call("GET", site.request(ticket_id, "notes", note.id), "read a note", ticket_id)
    return (await call(http, site, this, NoteReply)).note.description or ""
