"""Batches that form by themselves, over real HTTP and gRPC, and at their limits."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY

from dossier.orchestrator.v1.orchestrator_service_pb2 import (
    Submission,
    SubmitEnhancementsRequest,
    SubmitEnhancementsResponse,
)
from gateway.intake import Intake, IntakeFull, IntakeLimits, IntakeTimedOut, TenantIntakeFull
from tests.gateway.world import World, eventually, running_world, ticket_body
from tests.support.keys import Keys


async def test_what_waits_behind_a_call_goes_as_one_and_everybody_gets_their_own_answer(keys: Keys) -> None:
    async with running_world(keys, intake_batches_in_flight=1) as world:
        world.orchestrator.open.clear()
        numbers = [str(number) for number in range(80)]
        posts = [asyncio.create_task(world.webhook(ticket_body(numbers[0])))]
        await eventually(lambda: world.orchestrator.batches == [1])
        posts += [asyncio.create_task(world.webhook(ticket_body(number))) for number in numbers[1:]]
        await eventually(lambda: _waiting() == 79)
        world.orchestrator.open.set()
        answers = await asyncio.gather(*posts)
        assert [answer.json()["enhancement_id"] for answer in answers] == [f"enh-{each}" for each in numbers]
        assert world.orchestrator.batches == [1, 79]


def _waiting() -> int:
    return int(REGISTRY.get_sample_value("dossier_gateway_intake_waiting") or 0)


async def test_a_ticket_that_cannot_be_kept_fails_its_own_sender_only(keys: Keys) -> None:
    async with running_world(keys, intake_batches_in_flight=1) as world:
        world.orchestrator.open.clear()
        world.orchestrator.refuses = {"13"}
        posts = [asyncio.create_task(world.webhook(ticket_body("0")))]
        await eventually(lambda: world.orchestrator.batches == [1])
        posts += [asyncio.create_task(world.webhook(ticket_body(str(number)))) for number in range(1, 30)]
        await eventually(lambda: _waiting() == 29)
        world.orchestrator.open.set()
        answers = await asyncio.gather(*posts)
        statuses = {number: answer.status_code for number, answer in enumerate(answers)}
        assert statuses == dict.fromkeys(range(30), 202) | {13: 400}
        # Halves of halves, not one call a ticket.
        assert len(world.orchestrator.batches) <= 12


async def test_a_batch_that_is_not_taken_fails_its_senders_and_the_next_goes_on(world: World) -> None:
    world.orchestrator.lose_database()
    failed = await asyncio.gather(*(world.webhook(ticket_body(str(number))) for number in range(20)))
    assert {answer.status_code for answer in failed} == {503}
    world.orchestrator.failure = None
    assert (await world.webhook(ticket_body("20"))).status_code == 202


async def test_a_client_that_floods_is_stopped_before_the_others_are(keys: Keys) -> None:
    async with running_world(keys, intake_batches_in_flight=1, intake_waiting_max=10) as world:
        world.orchestrator.open.clear()
        first = asyncio.create_task(world.webhook(ticket_body("0")))
        await eventually(lambda: world.orchestrator.batches == [1])
        waiting = [asyncio.create_task(world.webhook(ticket_body(str(number)))) for number in range(1, 6)]
        await eventually(lambda: _waiting() == 5)
        flooding = await world.webhook(ticket_body("6"))
        assert flooding.status_code == 429
        assert flooding.json()["reason"] == "TENANT_INTAKE_FULL"
        assert flooding.headers["retry-after"] == "1"
        world.orchestrator.open.set()
        answers = await asyncio.gather(first, *waiting)
        assert {answer.status_code for answer in answers} == {202}


class Slow:
    """An orchestrator whose answers are let go by hand."""

    def __init__(self) -> None:
        self.requests: list[SubmitEnhancementsRequest] = []
        self.go = asyncio.Event()

    async def __call__(
        self, request: SubmitEnhancementsRequest, _seconds: float
    ) -> SubmitEnhancementsResponse:
        self.requests.append(request)
        await self.go.wait()
        response = SubmitEnhancementsResponse()
        for each in request.submissions:
            response.results.add(enhancement_id=each.revision)
        return response

    @property
    def batches(self) -> list[int]:
        return [len(request.submissions) for request in self.requests]


def limits(**changes: Any) -> IntakeLimits:
    usual: dict[str, Any] = {
        "batch_items": 500,
        "batch_bytes": 1_000_000,
        "batches_in_flight": 1,
        "waiting_max": 1000,
        "seconds": 60,
    }
    return IntakeLimits(**{**usual, **changes})


def submission(number: int, tenant: str | None = None) -> Submission:
    return Submission(tenant_id=tenant or f"tenant-{number % 7}", revision=str(number))


async def _in_flight(intake: Intake, numbers: range) -> list["asyncio.Task[Any]"]:
    tasks = [asyncio.create_task(intake.submit(submission(number))) for number in numbers]
    await _settled()
    return tasks


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_arrives_in_one_turn_of_the_loop_is_one_batch() -> None:
    slow = Slow()
    intake = Intake(slow, limits())
    tasks = await _in_flight(intake, range(10))
    assert slow.batches == [10]
    slow.go.set()
    assert [(await task).enhancement_id for task in tasks] == [str(number) for number in range(10)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"batch_items": 4}, [4, 4, 2]),
        ({"batch_bytes": 3 * submission(1).ByteSize()}, [3, 3, 3, 1]),
        ({"batch_bytes": 1}, [1] * 10),
    ],
)
async def test_a_batch_has_an_end_in_items_and_in_bytes(changes: dict[str, int], expected: list[int]) -> None:
    slow = Slow()
    slow.go.set()
    intake = Intake(slow, limits(**changes))
    await asyncio.gather(*await _in_flight(intake, range(10)))
    assert slow.batches == expected


async def test_no_more_calls_are_under_way_than_allowed() -> None:
    slow = Slow()
    intake = Intake(slow, limits(batch_items=1, batches_in_flight=3))
    tasks = await _in_flight(intake, range(9))
    assert slow.batches == [1, 1, 1]
    slow.go.set()
    await asyncio.gather(*tasks)
    assert slow.batches == [1] * 9


async def test_a_further_call_goes_with_as_many_webhooks_as_are_under_way() -> None:
    slow = Slow()
    intake = Intake(slow, limits(batches_in_flight=2))
    tasks = await _in_flight(intake, range(3)) + await _in_flight(intake, range(3, 5))
    assert slow.batches == [3]
    tasks += await _in_flight(intake, range(5, 6))
    assert slow.batches == [3, 3]
    slow.go.set()
    await asyncio.gather(*tasks)


async def test_a_call_that_hangs_holds_up_nobody() -> None:
    slow, now = Slow(), 100.0
    intake = Intake(slow, limits(batches_in_flight=2), clock=lambda: now)
    tasks = await _in_flight(intake, range(3))
    now += 0.3
    tasks += await _in_flight(intake, range(3, 4))
    assert slow.batches == [3, 1]
    slow.go.set()
    await asyncio.gather(*tasks)


async def test_past_the_bound_nobody_waits_any_more() -> None:
    slow = Slow()
    intake = Intake(slow, limits(waiting_max=6, batch_items=1))
    tasks = await _in_flight(intake, range(1)) + await _in_flight(intake, range(1, 7))
    with pytest.raises(IntakeFull):
        await intake.submit(submission(8))
    slow.go.set()
    await asyncio.gather(*tasks)


async def test_a_client_holds_half_of_the_places_and_gets_them_back() -> None:
    slow = Slow()
    intake = Intake(slow, limits(waiting_max=6, batch_items=1))
    tasks = []
    for number in range(4):
        tasks.append(asyncio.create_task(intake.submit(submission(number, "loud"))))
        await _settled()
    with pytest.raises(TenantIntakeFull):
        await intake.submit(submission(9, "loud"))
    tasks.append(asyncio.create_task(intake.submit(submission(10, "quiet"))))
    slow.go.set()
    await asyncio.gather(*tasks)
    await intake.submit(submission(11, "loud"))


async def test_what_waited_too_long_is_not_sent() -> None:
    now = [0.0]
    slow = Slow()
    intake = Intake(slow, limits(batch_items=1, seconds=10), clock=lambda: now[0])
    first, late = await _in_flight(intake, range(2))
    now[0] = 6.0
    slow.go.set()
    await first
    with pytest.raises(IntakeTimedOut):
        await late
    assert slow.batches == [1]


async def test_whoever_went_away_while_waiting_is_not_sent() -> None:
    slow = Slow()
    intake = Intake(slow, limits(batch_items=1))
    first, gone, third = await _in_flight(intake, range(3))
    gone.cancel()
    await _settled()
    slow.go.set()
    await asyncio.gather(first, third)
    assert [request.submissions[0].revision for request in slow.requests] == ["0", "2"]


async def test_draining_waits_for_all_that_was_taken() -> None:
    slow = Slow()
    intake = Intake(slow, limits(batch_items=2))
    tasks = await _in_flight(intake, range(5))
    draining = asyncio.create_task(intake.drain())
    await _settled()
    assert not draining.done()
    slow.go.set()
    await draining
    assert all(task.done() for task in tasks)


@pytest.mark.parametrize("results", [0, 3])
async def test_an_answer_that_does_not_fit_its_batch_is_nobodys(results: int) -> None:
    async def confused(_request: SubmitEnhancementsRequest, _seconds: float) -> SubmitEnhancementsResponse:
        response = SubmitEnhancementsResponse()
        for _ in range(results):
            response.results.add(enhancement_id="whose?")
        return response

    intake = Intake(confused, limits())
    answers = await asyncio.gather(*(await _in_flight(intake, range(2))), return_exceptions=True)
    assert all(isinstance(answer, ValueError) for answer in answers)
