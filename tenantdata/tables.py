"""Which tables hold something of a tenant: as the catalogue says, so that a new one is not forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Final

from services.runtime.database import Connection

_TABLES: Final = """
with found as (
    select c.oid, c.relname::text as name
    from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = to_regnamespace($1) and c.relkind = 'r' and a.attname = $2 and not a.attisdropped
)
select found.name, format('%I.%I', $1::text, found.name) as quoted,
       array(
           select referred.name from pg_constraint f join found referred on referred.oid = f.confrelid
           where f.contype = 'f' and f.conrelid = found.oid and referred.oid <> found.oid
       ) as refers_to,
       array(
           select quote_ident(a.attname) from pg_index i
           cross join unnest(i.indkey::smallint[]) with ordinality as k (number, place)
           join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
           where i.indrelid = found.oid and i.indisprimary order by k.place
       ) as key,
       array(
           select a.attname::text from pg_attribute a
           where a.attrelid = found.oid and a.attnum > 0 and not a.attisdropped order by a.attnum
       ) as columns
from found order by found.name
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A schema of which some tables hold something of tenants: those that have `column`."""

    schema: str
    column: str = "tenant_id"
    belongs: str = "tenant_id = $1"
    """Which of their rows are the tenant's."""
    last: str | None = None
    """The table by which the others' rows are known as the tenant's."""
    own: bool = True
    """Whether it is the service's; the tables of others are named with their schema."""
    not_exported: str | None = None
    """Why none of it is."""
    erasers: Mapping[str, str] = field(default_factory=dict)
    """Functions that erase where the service's role may not: they take how many at most, and say how many."""


@dataclass(frozen=True, slots=True)
class Table:
    label: str
    name: str
    quoted: str
    belongs: str
    not_exported: str | None
    eraser: str | None
    key: Sequence[str]
    columns: Sequence[str]


async def tables_of(connection: Connection, kept: Kept) -> Sequence[Table]:
    """Those that refer to others before them, as rows have to be removed."""
    rows = {row["name"]: row for row in await connection.fetch(_TABLES, kept.schema, kept.column)}
    order: TopologicalSorter[str] = TopologicalSorter()
    for name, row in rows.items():
        order.add(name)
        for referred in row["refers_to"]:
            order.add(referred, name)
        if kept.last is not None and name != kept.last:
            order.add(kept.last, name)
    return [
        Table(
            label=name if kept.own else f"{kept.schema}.{name}",
            name=name,
            quoted=rows[name]["quoted"],
            belongs=kept.belongs,
            not_exported=kept.not_exported,
            eraser=kept.erasers.get(name),
            key=rows[name]["key"],
            columns=rows[name]["columns"],
        )
        for name in order.static_order()
    ]
