"""Between the contract's messages about deletions and the model."""

from dossier.tenants.v1 import tenant_deletion_pb2
from services.runtime.paging import Key
from services.tenants.deletions import Deletion, Store
from services.tenants.wire import write_timestamp


def write_deletion(deletion: Deletion) -> tenant_deletion_pb2.TenantDeletion:
    return tenant_deletion_pb2.TenantDeletion(
        id=deletion.id,
        tenant_id=deletion.tenant,
        state=_deletion_state(deletion),
        request_time=write_timestamp(deletion.request_time) if deletion.request_time else None,
        principal=deletion.actor.principal,
        subject=deletion.actor.subject,
        request_id=deletion.actor.request_id,
        stores=[_store(name, store) for name, store in deletion.stores.items()],
        audit_events=deletion.audit_events,
        audit_head_hash=deletion.audit_head.hex(),
        verify_time=write_timestamp(deletion.verify_time) if deletion.verify_time else None,
        end_time=write_timestamp(deletion.end_time) if deletion.end_time else None,
    )


def _deletion_state(deletion: Deletion) -> "tenant_deletion_pb2.DeletionState.ValueType":
    if not deletion.id:
        return tenant_deletion_pb2.DELETION_STATE_UNSPECIFIED
    if deletion.end_time is not None:
        return tenant_deletion_pb2.DELETION_STATE_DONE
    if deletion.verify_time is not None:
        return tenant_deletion_pb2.DELETION_STATE_VERIFYING
    return tenant_deletion_pb2.DELETION_STATE_ERASING


def _store(name: str, store: Store) -> tenant_deletion_pb2.DeletionStore:
    tables = [
        tenant_deletion_pb2.DeletionTable(
            name=table, removed=store.removed.get(table, 0), left=store.left.get(table, 0)
        )
        for table in sorted({*store.removed, *store.left})
    ]
    return tenant_deletion_pb2.DeletionStore(name=name, tables=tables, awaited=store.awaited)


def page_after_deletion(deletion: Deletion) -> tuple[Key, Key]:
    if deletion.request_time is None:
        raise AssertionError("what is listed has begun")
    return round(deletion.request_time.timestamp() * 1e6), deletion.id
