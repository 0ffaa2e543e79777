"""What is kept of a client here and in the workflow engine, as it is erased, exported and left to expire."""

from collections.abc import Mapping
from typing import Final

from google.protobuf.message import Message

from dossier.context.v1.evidence_pb2 import SourceReport
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1.enhancement_pb2 import Note
from dossier.synthesis.v1.brief_pb2 import Usage
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest, WriteBriefResponse
from services.runtime.database import Database
from tenantdata.rows import Expiry, TenantRows
from tenantdata.tables import Kept

# First: of a run whose row is gone there nothing more can be kept, so one under way leaves nothing behind.
_ENGINE: Final = Kept(
    "dbos",
    column="workflow_uuid",
    belongs=(
        "workflow_uuid in"
        " (select s.workflow_uuid from dbos.workflow_status s where s.queue_partition_key = $1)"
    ),
    last="workflow_status",
    own=False,
    not_exported="the workflow engine's: names of runs and how far each is",
)
_MESSAGES: Final[Mapping[str, type[Message]]] = {
    "enhancements.ticket": Ticket,
    "enhancements.inputs": WriteBriefRequest,
    "enhancements.answer": WriteBriefResponse,
    "enhancements.usage": Usage,
    "enhancements.note": Note,
    "steps.report": SourceReport,
}
# With an enhancement would go the keys of changes that a sender may deliver again for days.
_EXPIRE: Final = """
with gone as (
    delete from orchestrator.enhancements e where e.tenant_id = $1 and e.id in (
        select o.id from orchestrator.enhancements o
        where o.tenant_id = $1 and o.end_time < now() - make_interval(secs => $2)
            and not exists (
                select from orchestrator.changes c
                where c.enhancement_id = o.id and c.create_time > now() - interval '4 days'
            )
        order by o.end_time
        limit $3
        for update skip locked
    )
    returning 1
)
select count(*) from gone
"""


def tenant_rows(database: Database, *, retention_days: float) -> TenantRows:
    return TenantRows(
        database,
        _ENGINE,
        Kept("orchestrator"),
        messages=_MESSAGES,
        expiry=Expiry(_EXPIRE, retention_days),
    )
