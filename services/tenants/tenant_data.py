"""What is kept of a client in the directory itself."""

from typing import Final

from services.runtime.database import Database
from tenantdata.rows import Expiry, TenantRows
from tenantdata.tables import Kept

_SECRET: Final = "a secret"  # noqa: S105 - the reason why it is left out


def tenant_rows(database: Database, *, audit_days: float | None) -> TenantRows:
    return TenantRows(
        database,
        Kept(
            "tenants",
            erasers={
                "audit_events": "tenants.erase_audit_events",
                "audit_anchors": "tenants.erase_audit_anchors",
            },
        ),
        not_exported={
            "api_keys.hash": _SECRET,
            "secrets.key_id": "of the provider's key-encryption key",
            "secrets.wrapped_key": _SECRET,
            "secrets.ciphertext": _SECRET,
        },
        expiry=Expiry("select tenants.expire_audit_events($1, $2, $3)", audit_days),
    )
