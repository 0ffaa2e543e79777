"""Posts the brief as a private note, once: what an earlier attempt may have posted is looked for first."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from dossier.orchestrator.v1.enhancement_pb2 import Note
from dossier.tenants.v1.tenant_pb2 import NOTE_VISIBILITY_NOT_POSTED
from services.orchestrator.engine import Checkpoint, Superseded
from services.orchestrator.failures import Transient
from services.orchestrator.model import StepState
from services.orchestrator.note import Notes
from services.orchestrator.steps import Work
from services.orchestrator.tool import ToolAccess, Tools
from ticketing.model import PostedNote

_CHECKPOINT: Final = Checkpoint(3, "deliver")
# Shorter than that, no request is worth beginning.
_SHORTEST_SECONDS: Final = 0.3


async def deliver(
    work: Work, *, tools: Tools, notes: Notes, lease_seconds: Callable[[], float], tool_seconds: float
) -> None:
    """`lease_seconds` says how long nobody else takes this run over: what is posted is posted within that.

    A tool is taken to be at a request for `tool_seconds` at most, whether or not somebody still waits for it.
    """
    this = work.attempt
    if not work.enhancement.deliver:
        await _skip(work, "delivery was not wanted")
        return
    try:
        access = await tools.access()
    except Transient as failure:
        failure.nothing_done = True
        raise
    if access.tenant.note.visibility == NOTE_VISIBILITY_NOT_POSTED:
        await _skip(
            work, "the client's briefs are not posted; set note.visibility to private to have them be"
        )
        return
    if not access.has_address:
        await _skip(work, "the ticketing tool has no address; set ticketing.base_url to have notes posted")
        return
    found = await _posted_before(work, access, tool_seconds=tool_seconds)
    if found is not None:
        posted, how = found, f"note {found.id} was posted by an earlier attempt"
    else:
        posted = await _post(work, access, notes, lease_seconds=lease_seconds, tool_seconds=tool_seconds)
        how = f"posted note {posted.id}"
    note = Note(id=posted.id, url=posted.url, marker=work.enhancement.run.marker)
    note.post_time.FromDatetime(datetime.now(UTC))
    await work.journal.succeeded(_CHECKPOINT, this.begun, [this.end(how)], note=note)


async def _skip(work: Work, why: str) -> None:
    end = work.attempt.end(why, state=StepState.SKIPPED)
    await work.journal.succeeded(_CHECKPOINT, work.attempt.begun, [end])


async def _posted_before(work: Work, access: ToolAccess, *, tool_seconds: float) -> PostedNote | None:
    this = work.attempt
    if this.number - 1 <= work.enhancement.idle_deliveries:
        # Of every attempt before it is known that nothing came of it.
        return None
    found = await access.find(work.enhancement.ticket.id, marker=work.enhancement.run.marker)
    if found is None and this.uncertain_time is not None:
        # Whoever made that attempt was killed, or was not told, and the tool may be at it still.
        left = tool_seconds - (this.begun - this.uncertain_time).total_seconds()
        if left > 0:
            waiting = Transient(
                "an earlier attempt may be under way at the ticketing tool still",
                reason="TOOL_UNAVAILABLE",
                retry_after_seconds=left,
            )
            waiting.nothing_done = True
            raise waiting
    return found


async def _post(
    work: Work, access: ToolAccess, notes: Notes, *, lease_seconds: Callable[[], float], tool_seconds: float
) -> PostedNote:
    ticket, marker = work.enhancement.ticket.id, work.enhancement.run.marker
    body = notes.render(work.enhancement, access.note_format)
    left = lease_seconds()
    if left < _SHORTEST_SECONDS:
        # Somebody else may be about to post it.
        raise Superseded
    try:
        async with asyncio.timeout(min(left, tool_seconds)):
            return await access.post(ticket, body=body, marker=marker)
    except TimeoutError:
        raise Transient("the ticketing tool did not answer in time", reason="TOOL_UNAVAILABLE") from None
