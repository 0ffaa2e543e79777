"""A client's budget for language models: said by operators, kept to the millionth of a dollar."""

import grpc
import pytest

from dossier.tenants.v1.tenant_pb2 import BriefSettings, Budget, Tenant
from tests.support.keys import Keys
from tests.tenants.client import Client, tenant
from tests.tenants.failures import failure_of

OWN = Budget(month_micro_dollars=25_000_001, day_micro_dollars=2_000_000, brief_micro_dollars=0)


async def test_it_is_kept_as_given_and_absent_where_there_is_none(operator: Client) -> None:
    new = tenant()
    new.budget.CopyFrom(OWN)
    await operator.create(new)
    await operator.create(tenant("globex"))

    assert (await operator.get("acme")).budget == OWN
    assert not (await operator.get("globex")).HasField("budget")


async def test_each_part_changes_by_itself_with_a_preview_and_an_audit_event(operator: Client) -> None:
    await operator.create()
    await operator.update("acme", Tenant(budget=OWN), "budget")

    new = Tenant(budget=Budget(month_micro_dollars=0, day_micro_dollars=5))
    preview = await operator.update("acme", new, "budget.month_micro_dollars", validate_only=True)
    assert (await operator.get("acme")).budget == OWN
    updated = await operator.update("acme", new, "budget.month_micro_dollars")

    assert preview.changes == updated.changes
    assert [(each.field, each.before, each.after) for each in updated.changes] == [
        ("budget.month_micro_dollars", "25000001", "0")
    ]
    after = (await operator.get("acme")).budget
    assert (after.month_micro_dollars, after.day_micro_dollars) == (0, 2_000_000)
    event = (await operator.events("acme"))[-1]
    assert (event.action, list(event.changes)) == ("UpdateTenant", list(updated.changes))


async def test_a_part_that_is_named_and_not_given_is_no_limit_rather_than_nothing(operator: Client) -> None:
    await operator.create()
    await operator.update("acme", Tenant(budget=OWN), "budget")

    one = await operator.update("acme", Tenant(), "budget.brief_micro_dollars")
    assert [(each.before, each.after) for each in one.changes] == [("0", "")]
    assert not one.tenant.budget.HasField("brief_micro_dollars")

    every = await operator.update("acme", Tenant(), "budget")
    assert not every.tenant.HasField("budget")


async def test_other_changes_leave_it_alone(operator: Client) -> None:
    await operator.create()
    await operator.update("acme", Tenant(budget=OWN), "budget")
    await operator.update("acme", Tenant(brief=BriefSettings(language="fr")), "brief")
    assert (await operator.suspend("acme")).budget == OWN


@pytest.mark.parametrize(
    "budget", [Budget(month_micro_dollars=-1), Budget(day_micro_dollars=1_000_000_000_001)], ids=str
)
async def test_one_out_of_bounds_is_refused_by_its_name(operator: Client, budget: Budget) -> None:
    await operator.create()
    failure = await failure_of(operator.update("acme", Tenant(budget=budget), "budget"))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    ((field, _),) = budget.ListFields()
    assert f"tenant.budget.{field.name}" in failure.message
    assert not (await operator.get("acme")).HasField("budget")


@pytest.mark.parametrize("path", ["budget", "budget.month_micro_dollars"])
@pytest.mark.parametrize(("role", "subject"), [("admin", "gateway"), ("service", "orchestrator")])
async def test_nobody_but_operators_changes_it(
    operator: Client, keys: Keys, path: str, role: str, subject: str
) -> None:
    await operator.create()
    other = Client(operator.stub, keys.metadata("tenants", tenant="acme", role=role, subject=subject))

    failure = await failure_of(other.update("acme", Tenant(budget=OWN), "display_name", path))

    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")
    assert not (await operator.get("acme")).HasField("budget")
