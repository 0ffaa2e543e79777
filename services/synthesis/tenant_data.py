"""What is kept of a client here, as it is erased, exported and left to expire."""

from typing import Final

from services.runtime.database import Database
from tenantdata.rows import Expiry, TenantRows
from tenantdata.tables import Kept

# The wordings of prompts stay: there are few, and calls to come may name them again.
_EXPIRE: Final = """
with gone as (
    delete from synthesis.calls c
    where c.tenant_id = $1 and c.request_id in (
        select o.request_id from synthesis.calls o
        where o.tenant_id = $1 and o.create_time < now() - make_interval(secs => $2)
        order by o.create_time limit $3
    )
    returning 1
), surplus as (
    delete from synthesis.surplus_calls s
    where s.tenant_id = $1 and s.create_time < now() - make_interval(secs => $2)
), budget as (
    delete from synthesis.budget_periods b
    where b.tenant_id = $1 and synthesis.budget_time(b.start_date) < now() - make_interval(secs => $2)
), reserved as (
    delete from synthesis.reservations r
    where r.tenant_id = $1 and r.reserve_time < now() - make_interval(secs => $2)
)
select count(*) from gone
"""


def tenant_rows(database: Database, *, retention_days: float | None) -> TenantRows:
    return TenantRows(database, Kept("synthesis"), expiry=Expiry(_EXPIRE, retention_days))
