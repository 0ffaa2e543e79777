"""What a client may spend goes with the request for its brief, as it is at that moment."""

import asyncio

from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.orchestrator.v1.orchestrator_service_pb2 import ReplayEnhancementRequest
from dossier.synthesis.v1 import budget_pb2
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest
from dossier.tenants.v1.tenant_pb2 import Budget
from tests.orchestrator.client import Client
from tests.orchestrator.peers import Peers

# Longer than settings are believed.
_BELIEVED_SECONDS = 2.1


def asked(peers: Peers) -> list[WriteBriefRequest]:
    return [each for _, each in peers.synthesis.does.calls if isinstance(each, WriteBriefRequest)]


async def test_the_budget_goes_with_the_request_part_by_part(acme: Client, peers: Peers) -> None:
    peers.tenants.budget = Budget(month_micro_dollars=25_000_001, brief_micro_dollars=0)

    assert (await acme.ended(await acme.submit_one("1"))).state == pb.ENHANCEMENT_STATE_SUCCEEDED

    (request,) = asked(peers)
    assert request.options.budget == budget_pb2.Budget(month_micro_dollars=25_000_001, brief_micro_dollars=0)


async def test_without_one_there_is_none_in_the_request(acme: Client, peers: Peers) -> None:
    await acme.ended(await acme.submit_one("1"))

    (request,) = asked(peers)
    assert not request.options.HasField("budget")


async def test_a_budget_that_changed_since_the_inputs_were_frozen_counts_as_it_is_now(
    acme: Client, peers: Peers
) -> None:
    peers.tenants.budget = Budget(month_micro_dollars=1)
    first = await acme.ended(await acme.submit_one("1"))
    peers.tenants.budget = Budget(month_micro_dollars=7)
    await asyncio.sleep(_BELIEVED_SECONDS)

    request = ReplayEnhancementRequest(enhancement_id=first.id)
    replay = await acme.stub.ReplayEnhancement(request, metadata=acme.acting())
    await acme.ended(replay.enhancement.id)

    assert [each.options.budget.month_micro_dollars for each in asked(peers)] == [1, 7]


async def test_no_brief_is_asked_for_before_it_is_known_what_it_may_cost(acme: Client, peers: Peers) -> None:
    first = await acme.ended(await acme.submit_one("1"))
    await asyncio.sleep(_BELIEVED_SECONDS)
    peers.tenants.does.failures = 2
    known = len(peers.tenants.does.calls)

    request = ReplayEnhancementRequest(enhancement_id=first.id)
    replay = await acme.stub.ReplayEnhancement(request, metadata=acme.acting())
    ended = await acme.ended(replay.enhancement.id)

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert len(peers.tenants.does.calls) == known + 3
    assert len(asked(peers)) == 2
