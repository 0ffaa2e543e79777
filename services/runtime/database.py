"""PostgreSQL, reached only inside transactions, each for one tenant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from services.runtime.errors import DependencyUnavailable

# In quotes: the class is generic for the type checker only.
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

_NAME: Final = "postgresql"
_CONNECT_SECONDS: Final = 5.0
_STATEMENT_SECONDS: Final = 30.0
_ROLLBACK_SECONDS: Final = 2.0
# Why a connection could not be opened (refused, no such host, bad password, too many, starting up) or tidied.
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


class Database:
    """A pool that connects on first use, so that a service starts without PostgreSQL and finds it later.

    Every loss of the database reaches callers as `DependencyUnavailable("postgresql")`.
    """

    def __init__(
        self, pool: "asyncpg.pool.Pool[asyncpg.Record]", *, acquire_seconds: float, pooled_elsewhere: bool
    ) -> None:
        self._pool = pool
        self._acquire_seconds = acquire_seconds
        self._pooled_elsewhere = pooled_elsewhere
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
    ) -> Self:
        """Work as `role`: the URL's user is that role, or may become it."""
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
        )
        return cls(pool, acquire_seconds=acquire_seconds, pooled_elsewhere=statement_cache == 0)

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

    @asynccontextmanager
    async def tenant(self, tenant: str) -> AsyncIterator[Connection]:
        """One transaction that row-level security confines to this tenant."""
        async with self.transaction() as connection:
            # Local to the transaction: a plain SET would follow the connection to its next user.
            await connection.execute("select set_config('dossier.tenant', $1, true)", tenant)
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction without a tenant: tables under row-level security look empty."""
        async with self._connected() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except BaseException:
                await _roll_back(transaction, connection)
                raise
            await transaction.commit()

    @asynccontextmanager
    async def single_statement(self) -> AsyncIterator[Connection]:
        """For one statement that is a transaction by itself, in one round trip instead of four.

        That is a call of a function which sets its tenant itself. Without a statement cache, which is how one
        works behind a pooler, there is a transaction around it all the same: the two messages that make a
        statement then have to reach one and the same server connection.
        """
        async with self.transaction() if self._pooled_elsewhere else self._connected() as connection:
            yield connection

    async def check(self) -> None:
        """Readiness: raises, with the reason, unless a statement goes through."""
        async with self.transaction() as connection:
            await connection.execute("select 1")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        connection = await self._acquire()
        try:
            yield connection
        except _LOST as error:
            raise DependencyUnavailable(_NAME, "closed the connection") from error
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

    async def _acquire(self) -> Connection:
        # With min_size 0 this opens nothing; it has to happen on the loop that will use the pool.
        async with self._ready:
            await self._pool
        try:
            return await self._pool.acquire(timeout=self._acquire_seconds)
        except TimeoutError as error:
            raise DependencyUnavailable(
                _NAME, f"gave no connection within {self._acquire_seconds:g} s"
            ) from error
        except _NOT_CONNECTED as error:
            raise DependencyUnavailable(_NAME, f"refuses connections ({type(error).__name__})") from error

    async def _release(self, connection: Connection) -> None:
        try:
            await self._pool.release(connection)
        except (TimeoutError, *_NOT_CONNECTED):
            # It broke while being cleaned; the pool has thrown it away, and the caller has its result.
            return


async def _roll_back(transaction: asyncpg.transaction.Transaction, connection: Connection) -> None:
    """Undo the transaction, or cut the connection; what went wrong before is what the caller hears of.

    PostgreSQL drops a request to cancel that overtakes its query, and the rollback would then wait for
    the query's own end.
    """
    try:
        async with asyncio.timeout(_ROLLBACK_SECONDS):
            await transaction.rollback()
    except _NOT_CONNECTED:
        if not _is_gone(connection):
            connection.terminate()


def _is_gone(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool has already taken a broken connection away, and its stand-in answers no more questions.
        return True
