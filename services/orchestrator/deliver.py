"""Posts the brief as a private note, once: what an earlier attempt may have posted is looked for first."""

from datetime import UTC, datetime

from dossier.orchestrator.v1.enhancement_pb2 import Note
from services.orchestrator.failures import Transient
from services.orchestrator.model import StepState
from services.orchestrator.note import Notes
from services.orchestrator.steps import Attempt, Work
from services.orchestrator.tool import NothingDone, ToolAccess, Tools
from ticketing.model import PostedNote


async def deliver(work: Work, *, tools: Tools, notes: Notes) -> None:
    posting = _Posting(work, notes)

    async def attempt(this: Attempt) -> None:
        if not work.enhancement.deliver:
            await work.journal.succeeded(this.end("delivery was not wanted", state=StepState.SKIPPED))
            return
        access = await tools.access()
        if not access.has_address:
            detail = "the ticketing tool has no address; set ticketing.base_url to have notes posted"
            await work.journal.succeeded(this.end(detail, state=StepState.SKIPPED))
            return
        posted, how = await posting.post_once(access, this)
        note = Note(id=posted.id, url=posted.url, marker=work.enhancement.run.marker)
        note.post_time.FromDatetime(datetime.now(UTC))
        await work.journal.succeeded(this.end(how), note=note)

    await work.try_step("deliver", attempt)


class _Posting:
    """Remembers, over the attempts of one worker, whether a note may be there that nobody told us of."""

    def __init__(self, work: Work, notes: Notes) -> None:
        self._work = work
        self._notes = notes
        self._uncertain: bool | None = None

    async def post_once(self, access: ToolAccess, this: Attempt) -> tuple[PostedNote, str]:
        if self._uncertain is None:
            # An attempt was begun by a worker that did not live to say how it ended.
            self._uncertain = this.number > 1
        enhancement = self._work.enhancement
        if self._uncertain:
            found = await access.find(enhancement.ticket.id, marker=enhancement.run.marker)
            if found is not None:
                return found, f"note {found.id} was posted by an earlier attempt"
            self._uncertain = False
        body = self._notes.render(enhancement, access.note_format)
        try:
            posted = await access.post(enhancement.ticket.id, body=body, marker=enhancement.run.marker)
        except NothingDone:
            raise
        except Transient:
            self._uncertain = True
            raise
        return posted, f"posted note {posted.id}"
