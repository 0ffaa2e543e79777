"""What is kept of a client here, as it is erased and exported."""

from typing import Final

from services.runtime.database import Database
from tenantdata.rows import TenantRows
from tenantdata.tables import Kept

_COMPUTED: Final = "computed from the articles, for searching"


def tenant_rows(database: Database) -> TenantRows:
    computed = (
        *("article_search", "passage_search", "passages", "lexeme_counts"),
        *("passage_vectors", "embedding_backlog"),
    )
    return TenantRows(database, Kept("knowledge"), not_exported=dict.fromkeys(computed, _COMPUTED))
