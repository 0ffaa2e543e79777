"""Limits of a client's own: said by operators, told to the gateway with what it asks anyway."""

import grpc
import pytest

from dossier.tenants.v1.tenant_pb2 import BriefSettings, Tenant, TenantLimits
from tests.support.keys import Keys
from tests.tenants.client import Client, tenant
from tests.tenants.failures import failure_of

OWN = TenantLimits(
    requests_per_minute=600,
    body_bytes_per_minute=10**12,
    import_rows_per_minute=0,
    webhooks_per_minute=50,
    webhook_bytes_per_minute=1,
)


async def test_they_are_kept_as_given_and_absent_where_none_are(operator: Client) -> None:
    new = tenant()
    new.limits.CopyFrom(OWN)
    await operator.create(new)
    await operator.create(tenant("globex"))

    assert (await operator.get("acme")).limits == OWN
    assert not (await operator.get("globex")).HasField("limits")
    assert [each.limits for each in (await operator.list_all()).tenants] == [OWN, TenantLimits()]


async def test_each_changes_by_itself_and_the_change_is_told(operator: Client) -> None:
    await operator.create()
    await operator.update("acme", Tenant(limits=OWN), "limits")

    new = Tenant(limits=TenantLimits(webhooks_per_minute=0, requests_per_minute=5))
    preview = await operator.update("acme", new, "limits.webhooks_per_minute", validate_only=True)
    updated = await operator.update("acme", new, "limits.webhooks_per_minute")

    assert preview.changes == updated.changes
    assert [(each.field, each.before, each.after) for each in updated.changes] == [
        ("limits.webhooks_per_minute", "50", "0")
    ]
    after = (await operator.get("acme")).limits
    assert (after.webhooks_per_minute, after.requests_per_minute) == (0, 600)
    event = (await operator.events("acme"))[-1]
    assert (event.action, list(event.changes)) == ("UpdateTenant", list(updated.changes))
    assert not (await operator.verify("acme")).broken_at


async def test_one_that_is_named_and_not_given_is_the_gateways_again_not_zero(operator: Client) -> None:
    await operator.create()
    await operator.update("acme", Tenant(limits=OWN), "limits")

    one = await operator.update("acme", Tenant(), "limits.import_rows_per_minute")
    assert [(each.field, each.before, each.after) for each in one.changes] == [
        ("limits.import_rows_per_minute", "0", "")
    ]
    assert not one.tenant.limits.HasField("import_rows_per_minute")

    every = await operator.update("acme", Tenant(), "limits")
    assert len(every.changes) == 4
    assert not every.tenant.HasField("limits")


async def test_other_settings_leave_them_alone_and_so_does_a_suspension(operator: Client) -> None:
    await operator.create()
    await operator.update("acme", Tenant(limits=OWN), "limits")
    await operator.update("acme", Tenant(brief=BriefSettings(language="fr")), "brief")
    assert (await operator.suspend("acme")).limits == OWN
    assert (await operator.resume("acme")).limits == OWN


@pytest.mark.parametrize(
    "limits",
    [
        TenantLimits(requests_per_minute=-1),
        TenantLimits(requests_per_minute=10_000_001),
        TenantLimits(import_rows_per_minute=10_000_001),
        TenantLimits(body_bytes_per_minute=2**40 + 1),
        TenantLimits(webhook_bytes_per_minute=-1),
    ],
)
async def test_one_out_of_bounds_is_refused_by_its_name(operator: Client, limits: TenantLimits) -> None:
    await operator.create()
    failure = await failure_of(operator.update("acme", Tenant(limits=limits), "limits"))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    ((field, _),) = limits.ListFields()
    assert f"tenant.limits.{field.name}" in failure.message
    assert not (await operator.get("acme")).HasField("limits")


@pytest.mark.parametrize("path", ["limits", "limits.requests_per_minute"])
@pytest.mark.parametrize(("role", "subject"), [("admin", "gateway"), ("service", "orchestrator")])
async def test_nobody_but_operators_changes_them(
    operator: Client, keys: Keys, path: str, role: str, subject: str
) -> None:
    await operator.create()
    other = Client(operator.stub, keys.metadata("tenants", tenant="acme", role=role, subject=subject))

    for validate_only in (True, False):
        failure = await failure_of(
            other.update("acme", Tenant(limits=OWN), "display_name", path, validate_only=validate_only)
        )
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")

    assert not (await operator.get("acme")).HasField("limits")


async def test_the_gateway_is_told_them_with_a_key_and_with_the_webhook_secrets(
    operator: Client, gateway: Client
) -> None:
    made = await operator.create()
    assert not (await gateway.authenticate(made.api_key)).HasField("limits")
    assert not (await gateway.live_secrets("acme")).HasField("limits")

    await operator.update("acme", Tenant(limits=OWN), "limits")

    assert (await gateway.authenticate(made.api_key)).limits == OWN
    assert (await gateway.live_secrets("acme")).limits == OWN
    # Whom there is nothing to verify for, nothing is told of.
    assert not (await gateway.live_secrets("acme", "another_tool")).HasField("limits")
    await operator.suspend("acme")
    assert not (await gateway.live_secrets("acme")).HasField("limits")
