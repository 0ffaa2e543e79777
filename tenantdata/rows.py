"""One service's rows of a tenant, under its own role and row-level security."""

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

import orjson
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from services.runtime.database import Connection, Database, Row, end_when_idle
from tenantdata.tables import Kept, Table, tables_of

_BITE: Final = 1000
_ERASE_SECONDS: Final = 3.0
_CHUNK_BYTES: Final = 256 * 1024
_FETCHED: Final = 200
# Each holds a connection for as long as its reader takes.
_EXPORTS: Final = 2
_STALLED_SECONDS: Final = 600.0
_SECONDS_A_DAY: Final = 86_400
_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Erased:
    removed: Mapping[str, int]
    left: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part of a table's file: so many rows, the first of which has that place, as JSON Lines."""

    table: str
    first_row: int
    rows: int
    lines: bytes


@dataclass(frozen=True, slots=True)
class LeftOut:
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Expiry:
    """What grows old."""

    statement: str
    """Removes what is older than $2 seconds of the tenant $1, at most $3 of it, and says how many."""
    default_days: float | None
    """None: it is kept."""


class TenantRows:
    def __init__(
        self,
        database: Database,
        *kept: Kept,
        not_exported: Mapping[str, str] = _NOTHING,
        messages: Mapping[str, type[Message]] | None = None,
        expiry: Expiry | None = None,
    ) -> None:
        """`not_exported` gives the reason by table or `table.column`; `messages` what a `table.column` holds.

        What is kept is erased in the order given.
        """
        self._database = database
        self._kept = kept
        self._not_exported = not_exported
        self._messages = messages or {}
        self._expiry = expiry
        self._exporting = asyncio.Semaphore(_EXPORTS)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def count(self, tenant: str, *, without: Collection[str] = ()) -> Mapping[str, int]:
        """By table, also where there are none."""
        async with self._database.tenant(tenant) as connection:
            return await self.count_in(connection, tenant, without=without)

    async def count_in(
        self, connection: Connection, tenant: str, *, without: Collection[str] = ()
    ) -> Mapping[str, int]:
        tables = [table for table in await self._tables(connection) if table.label not in without]
        return {
            table.label: await connection.fetchval(
                f"select count(*) from {table.quoted} where {table.belongs}",  # noqa: S608 - quoted by PostgreSQL
                tenant,
            )
            for table in sorted(tables, key=lambda table: table.label)
        }

    async def erase(self, tenant: str, *, without: Collection[str] = ()) -> Erased:
        """Erase bite by bite, until nothing is left or some seconds are over."""
        end = time.monotonic() + _ERASE_SECONDS
        removed: dict[str, int] = {}
        async with self._database.tenant(tenant) as connection:
            tables = await self._tables(connection)
        for table in tables:
            bite = _BITE if table.label not in without else 0
            while bite == _BITE and time.monotonic() < end:
                async with self._database.tenant(tenant) as connection:
                    bite = await _erase(connection, table, tenant)
                removed[table.label] = removed.get(table.label, 0) + bite
        return Erased(
            {label: count for label, count in removed.items() if count},
            await self.count(tenant, without=without),
        )

    async def expire(self, tenant: str, days: float) -> tuple[int, bool]:
        """Remove some of what is older, 0 days being the default.

        Returns how much it was, and whether there may be more.
        """
        kept_days = days or (self._expiry.default_days if self._expiry else None)
        if self._expiry is None or kept_days is None:
            return 0, False
        async with self._database.tenant(tenant) as connection:
            count: int = await connection.fetchval(
                self._expiry.statement, tenant, float(kept_days * _SECONDS_A_DAY), _BITE
            )
        return count, count == _BITE

    async def export(self, tenant: str) -> AsyncGenerator[Chunk | LeftOut, None]:
        """Everything as it stands at one moment, table by table in the order of their names.

        Who does not go on reading for ten minutes gets `DependencyUnavailable` when they do: no snapshot is
        held open for longer. Where it is passed on in a call, that ends as soon, and with it goes the place.
        """
        # A client's second export waits for its first, and takes no place of another client's.
        turn = self._turns.setdefault(tenant, asyncio.Lock())
        async with turn, self._exporting, self._database.tenant(tenant) as connection:
            await connection.execute("set transaction isolation level repeatable read, read only")
            await end_when_idle(connection, seconds=_STALLED_SECONDS)
            tables = await self._tables(connection)
            for what, reason in sorted(self._not_exported.items()):
                yield LeftOut(what, reason)
            for table in sorted(tables, key=lambda table: table.label):
                if table.not_exported is not None:
                    yield LeftOut(table.label, table.not_exported)
                if table.not_exported is not None or table.label in self._not_exported:
                    continue
                async with aclosing(self._chunks(connection, table, tenant)) as chunks:
                    async for chunk in chunks:
                        yield chunk

    async def _chunks(self, connection: Connection, table: Table, tenant: str) -> AsyncGenerator[Chunk, None]:
        shown = [name for name in table.columns if f"{table.label}.{name}" not in self._not_exported]
        of_messages = {name: self._messages.get(f"{table.label}.{name}") for name in shown}
        messages = {name: message for name, message in of_messages.items() if message is not None}
        columns = ", ".join(f"t.{_quoted(name)}" for name in shown)
        statement = (
            f"select row_to_json(r)::text from (select {columns} from {table.quoted} t"  # noqa: S608 - quoted
            f" where {table.belongs} order by {', '.join(table.key) or '1'}) r"
        )
        first, rows, lines = 1, 0, bytearray()
        async for row in connection.cursor(statement, tenant, prefetch=_FETCHED):
            lines += _line(row, messages)
            rows += 1
            if len(lines) >= _CHUNK_BYTES:
                yield Chunk(table.label, first, rows, bytes(lines))
                first, rows, lines = first + rows, 0, bytearray()
        if rows or first == 1:
            yield Chunk(table.label, first, rows, bytes(lines))

    async def _tables(self, connection: Connection) -> Sequence[Table]:
        return [table for kept in self._kept for table in await tables_of(connection, kept)]


async def _erase(connection: Connection, table: Table, tenant: str) -> int:
    if table.eraser is not None:
        erased: int = await connection.fetchval(f"select {table.eraser}($1)", _BITE)
        return erased
    status = await connection.execute(
        f"delete from {table.quoted} where ctid = any (array("  # noqa: S608 - quoted by PostgreSQL
        f"select ctid from {table.quoted} where {table.belongs} limit $2))",
        tenant,
        _BITE,
    )
    return int(status.rpartition(" ")[2])


def _line(row: Row, messages: Mapping[str, type[Message]]) -> bytes:
    text: str = row[0]
    if not messages:
        return text.encode() + b"\n"
    said = orjson.loads(text)
    for name, message in messages.items():
        if said[name] is not None:
            # PostgreSQL writes bytes in JSON as \x and hexadecimal digits.
            read = message.FromString(bytes.fromhex(said[name][2:]))
            said[name] = MessageToDict(read, preserving_proto_field_name=True)
    return orjson.dumps(said) + b"\n"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
