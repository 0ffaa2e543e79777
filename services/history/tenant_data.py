"""What is kept of a client here, as it is erased, exported and left to expire."""

from typing import Final

from services.runtime.database import Database
from tenantdata.rows import Expiry, TenantRows
from tenantdata.tables import Kept

# A ticket without any date grows old from when it was recorded.
_EXPIRE: Final = """
with gone as (
    delete from history.tickets t
    where t.tenant_id = $1 and (t.source, t.ticket_id) in (
        select o.source, o.ticket_id from history.tickets o
        where o.tenant_id = $1
            and coalesce(o.resolved, o.created, o.record_time) < now() - make_interval(secs => $2)
        limit $3
    )
    returning t.source, t.ticket_id
), unindexed as (
    delete from history.ticket_search s using gone
    where s.tenant_id = $1 and (s.source, s.ticket_id) = (gone.source, gone.ticket_id)
), forgotten as (
    delete from history.ticket_vectors v using gone
    where v.tenant_id = $1 and (v.source, v.ticket_id) = (gone.source, gone.ticket_id)
), unwanted as (
    delete from history.embedding_backlog b using gone
    where b.tenant_id = $1 and (b.source, b.ticket_id) = (gone.source, gone.ticket_id)
)
select count(*) from gone
"""
_COMPUTED: Final = "computed from the tickets, for searching"


def tenant_rows(database: Database, *, retention_days: float | None) -> TenantRows:
    computed = ("ticket_search", "lexeme_counts", "ticket_vectors", "embedding_backlog")
    return TenantRows(
        database,
        Kept("history"),
        not_exported=dict.fromkeys(computed, _COMPUTED),
        expiry=Expiry(_EXPIRE, retention_days),
    )
