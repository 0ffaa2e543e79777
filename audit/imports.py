"""The one event of an import, whose rows are kept batch by batch, each batch in a transaction of its own."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from audit.changes import FieldChange, changed
from audit.event import Action, Actor
from audit.outbox import Outbox
from services.runtime.database import Connection, Database
from services.runtime.importing import ImportReport

# Longer than a batch takes. An import that is cut off tells so late what it had changed.
_OPEN: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose import it is and who makes it; `name` is the RPC's, `resource` what is imported."""

    tenant: str
    by: Actor
    name: str
    resource: str


class ImportEvent:
    """Begins with the first batch that changes something and grows with each, in the batch's own transaction.

    So what was kept is told also when the import, or the process, ends in the middle. Where a batch comes
    later than the open event waits, another event goes on from there.
    """

    def __init__(self, outbox: Outbox, origin: Origin) -> None:
        self._outbox = outbox
        self._origin = origin
        self._event_id: str | None = None
        self._created = 0
        self._updated = 0
        self._removed = 0

    async def count(
        self, connection: Connection, *, created: int = 0, updated: int = 0, removed: int = 0
    ) -> None:
        if not created and not updated and not removed:
            return
        total = self._changes(self._created + created, self._updated + updated, self._removed + removed)
        known = self._event_id is not None and await self._outbox.renew(
            connection, self._event_id, total, open_for=_OPEN
        )
        if not known:
            self._created = self._updated = self._removed = 0
            self._event_id = await self._outbox.add(
                connection,
                self._origin.tenant,
                self._origin.by,
                Action(self._origin.name, self._origin.resource, self._changes(created, updated, removed)),
                open_for=_OPEN,
            )
        self._created += created
        self._updated += updated
        self._removed += removed

    async def end(self, database: Database, report: ImportReport) -> None:
        """Nothing, where nothing was changed."""
        if self._event_id is None:
            return
        changes = self._changes(
            self._created, self._updated, self._removed, unchanged=report.unchanged, rejected=report.rejected
        )
        async with database.tenant(self._origin.tenant) as connection:
            await self._outbox.renew(connection, self._event_id, changes, open_for=None)

    def _changes(self, created: int, updated: int, removed: int, **rest: int) -> tuple[FieldChange, ...]:
        return changed({}, {"created": created, "updated": updated, "removed": removed, **rest})
