"""Tries out what an API key may do.

The API names neither the key's technician nor the role's permissions: what it lets one do is learnt by doing.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import ClientSession

from egress.connection import Connection
from ticketing.errors import CannotTell, PermissionMissing, ToolRejected
from ticketing.model import NoteTrial
from ticketing.servicedesk_plus.client import Call, call
from ticketing.servicedesk_plus.notes import find_note, post_note
from ticketing.servicedesk_plus.site import Site
from ticketing.servicedesk_plus.tickets import changed_between, read_ticket
from ticketing.servicedesk_plus.wire import NoteList, NoteReply, RequestList

_TEST_NOTE: Final = (
    "<p>Dossier tests whether it may add private notes here. This is one; it may be deleted.</p>"
)
_LISTED_DAYS: Final = 30


class ServiceDeskPlusProbe:
    def __init__(self, http: ClientSession, connection: Connection, trial: NoteTrial | None) -> None:
        self._http = http
        self._connection = connection
        self._trial = trial
        self._ticket = None if trial is None else trial.ticket_id

    async def sign_in(self) -> str:
        site = Site.of(self._connection)
        list_info = {"row_count": 1, "start_index": 1, "sort_field": "created_time", "sort_order": "desc"}
        this = Call("GET", f"{site.api}/requests", "sign in", input_data=json.dumps({"list_info": list_info}))
        try:
            newest = await call(self._http, site, this, RequestList)
        except PermissionMissing:
            # Whose key is not known is told so (401) before it is looked at what the role may do.
            return "the API key is known"
        if self._ticket is None and newest.requests:
            self._ticket = newest.requests[0].id
        return "the API key is known, and requests can be listed"

    async def read_ticket(self) -> str:
        read = await read_ticket(self._http, self._connection, self._any_ticket())
        return f"request {read.display_id} can be read"

    async def read_notes(self) -> str:
        site, ticket = Site.of(self._connection), self._any_ticket()
        list_info = {"row_count": 1, "start_index": 1}
        this = Call(
            "GET",
            site.request(ticket, "notes"),
            "list notes",
            ticket,
            json.dumps({"list_info": list_info}),
        )
        await call(self._http, site, this, NoteList)
        return f"the notes of request {ticket} can be read"

    async def add_note(self) -> str:
        if self._trial is None:
            raise CannotTell(
                "whether notes may be added is only learnt by adding one",
                "test again with the id of a request that may get a private test note",
            )
        ticket, marker = self._trial.ticket_id, self._trial.marker
        posted = await find_note(self._http, self._connection, ticket, marker=marker)
        if posted is None:
            posted = await post_note(self._http, self._connection, ticket, body=_TEST_NOTE, marker=marker)
        site = Site.of(self._connection)
        this = Call("GET", site.request(ticket, "notes", posted.id), "read the test note", ticket)
        if (await call(self._http, site, this, NoteReply)).note.show_to_requester:
            raise ToolRejected(
                f"the test note {posted.id} at request {ticket} was made visible to the requester",
                "delete it, and find out which rule of the tool publishes notes",
            )
        return f"a private test note was added to request {ticket}; it may be deleted"

    async def list_resolved(self) -> str:
        now = datetime.now(UTC)
        page = await changed_between(
            self._http,
            Site.of(self._connection),
            low=now - timedelta(days=_LISTED_DAYS),
            until=now,
        )
        resolved = sum(each.resolved for each in page.requests)
        more = "+" if page.list_info.has_more_rows else ""
        listed = f"{len(page.requests)}{more} changed in the last {_LISTED_DAYS} days, {resolved} of them"
        return f"requests can be listed: {listed} resolved"

    def _any_ticket(self) -> str:
        if self._ticket is None:
            raise CannotTell(
                "the API key's technician sees no request to try it with",
                "if there are some, let the technician's role view all of the site's; else name one later",
            )
        return self._ticket
