"""Connection tests, addresses of webhooks and versions of their secrets, as the contract has them."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Final

from dossier.tenants.v1 import connection_test_pb2 as pb
from dossier.tenants.v1 import tenant_service_pb2, webhook_secret_version_pb2
from services.tenants.connection import verdict_of
from services.tenants.model import Tenant, WebhookSecretVersion, tenant_id
from services.tenants.secret_uses import SecretUse
from services.tenants.wire import write_timestamp
from ticketing.checks import Check, Finding, Verdict
from ticketing.model import NoteTrial

_KINDS: Final[Mapping[Check, "pb.ConnectionCheckKind.ValueType"]] = {
    Check.REACHABLE: pb.CONNECTION_CHECK_KIND_REACHABLE,
    Check.AUTHENTICATED: pb.CONNECTION_CHECK_KIND_AUTHENTICATED,
    Check.READ_TICKETS: pb.CONNECTION_CHECK_KIND_READ_TICKETS,
    Check.READ_NOTES: pb.CONNECTION_CHECK_KIND_READ_NOTES,
    Check.ADD_PRIVATE_NOTES: pb.CONNECTION_CHECK_KIND_ADD_PRIVATE_NOTES,
    Check.LIST_RESOLVED_TICKETS: pb.CONNECTION_CHECK_KIND_LIST_RESOLVED_TICKETS,
}
_VERDICTS: Final[Mapping[Verdict, "pb.ConnectionVerdict.ValueType"]] = {
    Verdict.OK: pb.CONNECTION_VERDICT_OK,
    Verdict.FAILED: pb.CONNECTION_VERDICT_FAILED,
    Verdict.UNKNOWN: pb.CONNECTION_VERDICT_UNKNOWN,
    Verdict.SKIPPED: pb.CONNECTION_VERDICT_SKIPPED,
}


def read_trial(request: tenant_service_pb2.TestConnectionRequest, *, request_id: str) -> NoteTrial | None:
    """The call repeated has the same request id."""
    if not request.ticket_id:
        return None
    return NoteTrial(request.ticket_id, f"Dossier connection test {request_id}")


def write_test(findings: Sequence[Finding]) -> pb.ConnectionTest:
    return pb.ConnectionTest(
        verdict=_VERDICTS[verdict_of(findings)],
        checks=[
            pb.ConnectionCheck(
                kind=_KINDS[each.check],
                verdict=_VERDICTS[each.verdict],
                seen=each.seen,
                next_step=each.next_step,
            )
            for each in findings
        ],
    )


def webhook_url(tenant: Tenant, public_url: str) -> str:
    return f"{public_url}/webhooks/{tenant.id}/{tenant.ticketing.tool}"


def write_secret_version(version: WebhookSecretVersion) -> webhook_secret_version_pb2.WebhookSecretVersion:
    return webhook_secret_version_pb2.WebhookSecretVersion(
        id=version.id,
        version=version.version,
        create_time=write_timestamp(version.create_time),
        expire_time=write_timestamp(version.expire_time) if version.expire_time else None,
        last_used_time=write_timestamp(version.last_used_time) if version.last_used_time else None,
    )


def read_use(use: tenant_service_pb2.WebhookSecretUse) -> SecretUse:
    return SecretUse(
        tenant_id(use.tenant_id), use.secret_id.replace("\0", "\ufffd"), use.use_time.ToDatetime(UTC)
    )
