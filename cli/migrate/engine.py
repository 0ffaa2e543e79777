"""The workflow engine's own tables: DBOS, schema `dbos`, used by the orchestrator's role."""

import asyncio
import logging
from urllib.parse import urlsplit

from cli.migrate.errors import MigrationError

SCHEMA = "dbos"
ROLE = "dossier_orchestrator"


async def migrate_engine(url: str) -> None:
    """Idempotent. The engine keeps its own version table and serializes with an advisory lock of its own."""
    await asyncio.to_thread(_migrate, url)


def _migrate(url: str) -> None:
    # Half a second of imports (SQLAlchemy, psycopg) that the other verbs need not pay.
    import sqlalchemy  # noqa: PLC0415
    from dbos import DBOS  # noqa: PLC0415

    logging.getLogger("dbos").setLevel(logging.WARNING)
    address = urlsplit(url)._replace(scheme="postgresql").geturl()
    try:
        DBOS.migrate(address, schema=SCHEMA, application_role=ROLE)
    except sqlalchemy.exc.SQLAlchemyError as failure:
        raise MigrationError(
            f"The workflow engine's tables (schema {SCHEMA}) could not be migrated: {failure}",
            hint="Its migrations continue where they stopped: mend the cause and migrate again.",
        ) from failure
