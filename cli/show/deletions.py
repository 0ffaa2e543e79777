"""Deletions of clients as JSON and as tables."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.output import Json
from cli.show.listing import listing
from cli.words import iso, number_of, word
from dossier.tenants.v1.tenant_deletion_pb2 import DELETION_STATE_DONE, DeletionState, TenantDeletion


def rows_and_keys(number: int) -> str:
    return number_of(number, "row or key", "rows and keys")


def removed_of(deletion: TenantDeletion) -> int:
    return sum(table.removed for store in deletion.stores for table in store.tables)


def left_of(deletion: TenantDeletion) -> int:
    return sum(table.left for store in deletion.stores for table in store.tables)


def awaited_of(deletion: TenantDeletion) -> dict[str, str]:
    return {store.name: store.awaited for store in deletion.stores if store.awaited}


def deletion_json(deletion: TenantDeletion) -> dict[str, Json]:
    return {
        "deletion": deletion.id or None,
        "tenant": deletion.tenant_id,
        "state": word(DeletionState.DESCRIPTOR, deletion.state) or "preview",
        "requested": iso(deletion.request_time),
        "principal": deletion.principal,
        "verified": iso(deletion.verify_time),
        "ended": iso(deletion.end_time),
        "removed": removed_of(deletion),
        "left": left_of(deletion),
        "awaited": awaited_of(deletion),
        "stores": {
            store.name: {table.name: {"removed": table.removed, "left": table.left} for table in store.tables}
            for store in deletion.stores
        },
        # Only what was asked for has left them.
        **(
            {"audit_events": deletion.audit_events, "audit_head_hash": deletion.audit_head_hash}
            if deletion.id
            else {}
        ),
    }


def deletion_shown(deletion: TenantDeletion) -> RenderableType:
    """Every table of every store; at the end, the proof."""
    columns = ("removed", "left") if deletion.id else ("to remove",)
    table = _table("where", "table", *columns)
    for store in deletion.stores:
        for each in store.tables:
            counts = (each.removed, each.left) if deletion.id else (each.left,)
            table.add_row(Text(store.name), Text(each.name), *map(str, counts))
    awaited = [Text(f"Waiting: {reason}", style="yellow") for reason in awaited_of(deletion).values()]
    return Group(table, *awaited, Text(told(deletion)))


def told(deletion: TenantDeletion) -> str:
    """How it stands, in a sentence."""
    if not deletion.id:
        return f"{rows_and_keys(left_of(deletion))} would be removed, with {deletion.tenant_id} itself."
    if deletion.state == DELETION_STATE_DONE:
        return (
            f"{deletion.tenant_id} is deleted. Removed: {rows_and_keys(removed_of(deletion))}; none was"
            f" found at {iso(deletion.verify_time)}, and none at {iso(deletion.end_time)}. The last of its"
            f" {number_of(deletion.audit_events, 'audit event')} had the hash {deletion.audit_head_hash}."
        )
    if deletion.HasField("verify_time"):
        return f"Nothing was found at {iso(deletion.verify_time)}; after a pause it is looked once more."
    return f"There is left: {rows_and_keys(left_of(deletion))}."


def deletions_table(deletions: Sequence[TenantDeletion]) -> Table:
    columns = ("tenant", "state", "asked for", "by", "ended", "removed", "waiting for", "id")
    rows = []
    for each in deletions:
        data = deletion_json(each)
        cells = [data[name] or "" for name in ("tenant", "state", "requested", "principal", "ended")]
        rows.append([*map(str, cells), str(data["removed"]), ", ".join(awaited_of(each)), each.id])
    return listing(columns, rows, whole={"id", "tenant"})


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, header_style="dim")
