"""Whether the gateway says that it can take webhooks, and why not."""

import httpx
import pytest

from tests.gateway.world import World, eventually


async def ready(world: World) -> httpx.Response:
    return await world.http.get("/readyz")


async def test_ready_is_what_takes_webhooks_and_tells_of_every_service(world: World) -> None:
    answer = await ready(world)
    assert answer.status_code == 200
    services = answer.json()["services"]
    assert services["tenants"] == {"state": "serving", "required": True, "reason": ""}
    assert services["orchestrator"]["state"] == "serving"
    assert services["history"] == {"state": "serving", "required": False, "reason": ""}
    assert services["knowledge"] == {
        "state": "unreachable",
        "required": False,
        "reason": "knowledge cannot be reached",
    }
    assert (await world.http.get("/healthz")).json() == {"status": "alive"}


@pytest.mark.parametrize("service", ["tenants", "orchestrator"])
async def test_without_postgresql_it_is_not_ready_and_says_that_it_is_postgresql(
    world: World, service: str
) -> None:
    world.peers()[service].lose_database()
    await eventually(lambda: bool(world.gateway.readiness.failing))
    answer = await ready(world)
    assert answer.status_code == 503
    assert answer.json()["failing"] == {service: "postgresql refuses connections"}
    assert answer.json()["services"][service]["state"] == "not_serving"
    async with httpx.AsyncClient() as probe:
        apart = await probe.get(f"{world.gateway.metrics_url}/readyz")
    assert apart.status_code == 503
    assert apart.json()["failing"] == {service: "postgresql refuses connections"}
    world.peers()[service].failure = None
    await eventually(lambda: not world.gateway.readiness.failing)
    assert (await ready(world)).status_code == 200


async def test_a_service_that_is_gone_is_told_from_one_that_is_ill(world: World) -> None:
    await world.stop("orchestrator")
    await eventually(lambda: bool(world.gateway.readiness.failing))
    assert (await ready(world)).json()["failing"] == {"orchestrator": "orchestrator cannot be reached"}


async def test_a_service_that_briefs_can_do_without_costs_no_readiness(world: World) -> None:
    await world.stop("history")

    async def history() -> str:
        return str((await ready(world)).json()["services"]["history"]["state"])

    while await history() != "unreachable":
        pass
    assert (await ready(world)).status_code == 200
