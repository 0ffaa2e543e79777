"""PostgreSQL, reached only inside transactions, each for one tenant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final, Self, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from services.runtime.errors import DependencyUnavailable, TransactionAborted

# In quotes: the class is generic for the type checker only.
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Row: TypeAlias = asyncpg.Record

_NAME: Final = "postgresql"
# No tenant is called so.
_NOBODY: Final = ""
_CONNECT_SECONDS: Final = 5.0
_STATEMENT_SECONDS: Final = 30.0
_ROLLBACK_SECONDS: Final = 2.0
# Why a connection could not be opened: refused, no such host, bad password, too many, starting up.
_NOT_CONNECTED = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# A connection that broke while in use.
_LOST = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleSessionTimeoutError,
)
# It answers, but takes nothing: a full disk, a standby, an operator's word.
_IN_TROUBLE = (
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.OperatorInterventionError,
)

NOT_MIGRATED: Final[tuple[type[Exception], ...]] = (
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
)
"""What a job meets that starts beside the migrations; elsewhere a mistake of ours."""


class Database:
    """A pool that connects on first use, so that a service starts without PostgreSQL and finds it later.

    Every loss of the database reaches callers as `DependencyUnavailable("postgresql")`.
    """

    def __init__(
        self, pool: "asyncpg.pool.Pool[asyncpg.Record]", *, acquire_seconds: float, planned_anew: bool
    ) -> None:
        self._pool = pool
        self._acquire_seconds = acquire_seconds
        self._planned_anew = planned_anew
        self._ready = asyncio.Lock()

    @classmethod
    def lazy(
        cls,
        url: str,
        *,
        role: str,
        pool_max: int = 8,
        statement_cache: int = 100,
        acquire_seconds: float = 5.0,
        planned_anew: bool = False,
    ) -> Self:
        """Work as `role`: the URL's user is that role, or may become it.

        A plan that PostgreSQL keeps suits the tenant for whom it was made: of a hundred rows it reads all,
        and then all of the next one's million. `planned_anew` is for services whose tenants differ so.
        """
        settings = {"application_name": role}
        if urlsplit(url).username != role:
            settings["role"] = role
        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=pool_max,
            statement_cache_size=statement_cache,
            timeout=_CONNECT_SECONDS,
            command_timeout=_STATEMENT_SECONDS,
            server_settings=settings,
            init=partial(_require_role, role),
            reset=_leave,
        )
        return cls(pool, acquire_seconds=acquire_seconds, planned_anew=planned_anew)

    async def close(self) -> None:
        """Return the connections; those still in use a moment later are cut."""
        try:
            async with asyncio.timeout(self._acquire_seconds):
                # A pool that nobody used refuses to be closed.
                async with self._ready:
                    await self._pool
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    def tenant(self, tenant: str) -> AbstractAsyncContextManager[Connection]:
        """One transaction that row-level security confines to this tenant."""
        return self._begun(tenant)

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """One transaction without a tenant: tables under row-level security look empty."""
        return self._begun(_NOBODY)

    @asynccontextmanager
    async def _begun(self, tenant: str) -> AsyncIterator[Connection]:
        begin = _begin(tenant, planned_anew=self._planned_anew)
        connection = await self._acquire()
        try:
            try:
                await connection.execute(begin)
                yield connection
            except BaseException:
                await _roll_back(connection)
                raise
            await connection.execute("commit")
        except _LOST as error:
            raise DependencyUnavailable(_NAME, "closed the connection") from error
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
            raise TransactionAborted(_NAME, "undid the transaction for another's sake") from error
        except _IN_TROUBLE as error:
            raise DependencyUnavailable(_NAME, f"is in trouble ({type(error).__name__})") from error
        except asyncpg.InternalClientError as error:
            # What the driver says of a connection whose last words it has read and whose end it has not.
            connection.terminate()
            raise DependencyUnavailable(_NAME, "closed the connection") from error
        except asyncpg.InterfaceError as error:
            # The driver says so too when it is misused, which is a bug and stays one.
            if _is_gone(connection):
                raise DependencyUnavailable(_NAME, "closed the connection") from error
            raise
        finally:
            await self._release(connection)

    async def check(self) -> None:
        """Readiness: raises, with the reason, unless a statement goes through."""
        async with self.transaction() as connection:
            await connection.execute("select 1")

    async def _acquire(self) -> Connection:
        try:
            # Not by the pool's own timeout, which makes a task of every acquisition.
            async with asyncio.timeout(self._acquire_seconds):
                # With min_size 0 this opens nothing; it happens on the loop that will use the pool.
                async with self._ready:
                    await self._pool
                return await self._pool.acquire()
        except TimeoutError as error:
            raise DependencyUnavailable(
                _NAME, f"gave no connection within {self._acquire_seconds:g} s"
            ) from error
        except _NOT_CONNECTED as error:
            raise DependencyUnavailable(_NAME, f"refuses connections ({type(error).__name__})") from error

    async def _release(self, connection: Connection) -> None:
        try:
            await self._pool.release(connection, timeout=self._acquire_seconds)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            # It broke while being cleaned; the pool has thrown it away, and the caller has its result.
            return


async def end_when_idle(connection: Connection, *, seconds: float) -> None:
    """Have PostgreSQL end this transaction when nobody asks anything for so long: `DependencyUnavailable`."""
    await connection.execute(f"set local idle_in_transaction_session_timeout = {round(seconds * 1000)}")


class RoleNotTaken(asyncpg.InternalClientError):
    """The connection is somebody else's than the service's, or of one whom no policy confines."""


async def _require_role(role: str, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """A pooler that drops the role on its way would leave the service with the login's rights, unnoticed."""
    row = await connection.fetchrow(
        "select rolname, rolsuper or rolbypassrls as unconfined from pg_roles where rolname = current_user"
    )
    if row is None or row["rolname"] != role or row["unconfined"]:
        raise RoleNotTaken(f"the connection is not confined to the role {role}")


async def _leave(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Transactions leave nothing to reset; the pool's own query would cost each of them a round trip."""


async def _roll_back(connection: Connection) -> None:
    """Undo the transaction, or cut the connection; what went wrong before is what the caller hears of.

    PostgreSQL drops a request to cancel that overtakes its query, and the rollback would then wait for
    the query's own end.
    """
    try:
        async with asyncio.timeout(_ROLLBACK_SECONDS):
            await connection.execute("rollback")
    except _NOT_CONNECTED:
        if not _is_gone(connection):
            connection.terminate()


def _begin(tenant: str, *, planned_anew: bool) -> str:
    """Begin and name the tenant in one message: a round trip less in every transaction.

    Local to the transaction: a plain SET would follow the connection to its next user. A transaction of
    nobody's says so too, in case somebody did that. A message of several statements takes no arguments, so
    the name is quoted here, such that it is data whatever `standard_conforming_strings` says.
    """
    if "\0" in tenant:
        raise ValueError("a tenant's name has no NUL character")
    quoted = tenant.replace("'", "''").replace("\\", "\\\\")
    begin = f"begin; set local dossier.tenant = E'{quoted}'"
    return f"{begin}; set local plan_cache_mode = force_custom_plan" if planned_anew else begin


def _is_gone(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool has already taken a broken connection away, and its stand-in answers no more questions.
        return True
