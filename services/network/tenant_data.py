"""What is kept of a client here, as it is erased and exported."""

from services.runtime.database import Database
from tenantdata.rows import TenantRows
from tenantdata.tables import Kept


def tenant_rows(database: Database) -> TenantRows:
    return TenantRows(database, Kept("network"))
