"""Which index served a search, as PostgreSQL counts it."""

import asyncpg

from tests.support.databases import TestDatabase


async def scans(connection: asyncpg.Connection, index: str) -> int:
    count: int = await connection.fetchval(
        "select idx_scan from pg_stat_user_indexes where indexrelname = $1", index
    )
    return count


async def asked(
    database: TestDatabase, service: str, query: str, *, index: str
) -> tuple[list[asyncpg.Record], int]:
    """Ask as the service's role for the client acme, and count how often the index is used for it."""
    admin = await asyncpg.connect(database.admin_url)
    role = await asyncpg.connect(database.url(service))
    try:
        await admin.execute("vacuum analyze")
        before = await scans(admin, index)
        async with role.transaction():
            await role.execute("select set_config('dossier.tenant', 'acme', true)")
            found = await role.fetch(query)
        await role.execute("select pg_stat_force_next_flush()")
        await role.execute("select 1")
        return found, await scans(admin, index) - before
    finally:
        await role.close()
        await admin.close()
