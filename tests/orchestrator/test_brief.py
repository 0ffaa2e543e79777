"""From a submitted ticket to the note on it."""

from itertools import pairwise

from cli.standins.servicedesk_plus import ServiceDesk
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.history.v1.history_service_pb2 import SearchSimilarTicketsRequest
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.orchestrator.v1.orchestrator_service_pb2 import CreateEnhancementRequest
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest
from tests.orchestrator.client import Client
from tests.orchestrator.peers import Peers


async def test_a_submitted_ticket_ends_with_one_private_note(acme: Client, desk: ServiceDesk) -> None:
    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED, ended
    (note,) = desk.requests["1"].notes
    assert note.id == ended.note.id
    assert not note.show_to_requester
    assert f"Dossier {ended.id}" in note.description
    assert "VPN drops every hour" in note.description
    assert "https://desk.example/10241" in note.description


async def test_the_enhancement_tells_of_its_steps_its_evidence_and_its_cost(acme: Client) -> None:
    ended = await acme.ended(await acme.submit_one("1"))

    names = ["refresh", "history", "knowledge", "network", "synthesize", "deliver"]
    assert [step.name for step in ended.steps] == names
    assert {step.state for step in ended.steps} == {pb.STEP_STATE_SUCCEEDED}
    assert {step.attempt for step in ended.steps} == {1}
    assert all(step.HasField("duration") and step.detail for step in ended.steps)
    assert [each.id for each in ended.evidence] == [
        "history:10241",
        "knowledge:KB-7#intervals",
        "knowledge:KB-7#cure",
        "network:fw-01",
        "network:10.20.30.0/24",
    ]
    assert ended.evidence[0].resolution == "Raise the rekey interval on fw-01."
    assert ended.evidence[1].url == "https://kb.example/kb-7#intervals"
    assert ended.evidence[2].text == "Shorten the interval."
    assert ended.evidence[2].score < ended.evidence[1].score
    assert [each.source for each in ended.sources] == ["history", "knowledge", "network"]
    assert ended.cost == ended.usage.cost == 0.002
    times = [ended.create_time, ended.start_time, ended.end_time]
    assert all(earlier.ToNanoseconds() <= later.ToNanoseconds() for earlier, later in pairwise(times))


async def test_the_brief_is_written_from_the_ticket_as_it_is_at_the_tool(acme: Client, peers: Peers) -> None:
    enhancement = await acme.ended(await acme.submit_one("2"))

    ((tenant, request),) = peers.synthesis.does.calls
    assert isinstance(request, WriteBriefRequest)
    assert tenant == "acme"
    assert request.request_id.startswith(f"{enhancement.id}:synthesize:")
    assert request.ticket.subject == enhancement.ticket.subject == "VPN drops (2)"
    assert request.options.language == "nl"


async def test_history_hears_which_assets_the_ticket_names(acme: Client, peers: Peers) -> None:
    await acme.ended(await acme.submit_one("1"))

    ((_, request),) = peers.history.does.calls
    assert isinstance(request, SearchSimilarTicketsRequest)
    assert list(request.assets) == ["fw-01"]
    assert request.exclude[0].id == "1"


async def test_a_hint_is_reread_at_the_tool(acme: Client) -> None:
    ticket = Ticket(id="3", tool="servicedesk_plus")
    ended = await acme.ended(await acme.submit_one(ticket=ticket, is_hint=True))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert ended.ticket.subject == "VPN drops (3)"


async def test_nothing_similar_is_a_brief(acme: Client, peers: Peers, desk: ServiceDesk) -> None:
    peers.history.past, peers.knowledge.passages, peers.network.findings = {}, [], []

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.brief.nothing_similar
    assert "Nothing similar found" in desk.requests["1"].notes[0].description


async def test_a_resolved_ticket_is_recorded_in_the_history_and_not_enhanced(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    ended = await acme.ended(await acme.submit_one("4", resolved=True))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert [step.name for step in ended.steps] == ["refresh", "record"]
    (recorded,) = peers.history.recorded
    assert (recorded.id, recorded.source, recorded.title) == ("4", "servicedesk_plus", "VPN drops (4)")
    assert desk.requests["4"].notes == []
    assert peers.synthesis.does.calls == []
    assert list((await acme.page()).enhancements) == []


async def test_a_brief_asked_for_by_hand_is_only_read_here(acme: Client, desk: ServiceDesk) -> None:
    ticket = Ticket(id="free", subject="VPN drops at fw-01")
    created = await acme.create(CreateEnhancementRequest(ticket=ticket))
    ended = await acme.ended(created.id)

    assert created.state == pb.ENHANCEMENT_STATE_QUEUED
    assert not ended.deliver
    assert ended.ticket == ticket
    assert len(ended.brief.citations) == 5
    assert {step.name: step.state for step in ended.steps}["deliver"] == pb.STEP_STATE_SKIPPED
    assert desk.calls.count() == 0


async def test_a_brief_asked_for_by_hand_is_posted_when_that_is_wanted(
    acme: Client, desk: ServiceDesk
) -> None:
    request = CreateEnhancementRequest(ticket=Ticket(id="5"), deliver=True)
    ended = await acme.ended((await acme.create(request)).id)

    assert ended.ticket.subject == "VPN drops (5)"
    assert len(desk.requests["5"].notes) == 1


async def test_the_same_request_by_hand_is_the_same_enhancement(acme: Client, globex: Client) -> None:
    request = CreateEnhancementRequest(ticket=Ticket(id="1", subject="VPN"), request_id="press-1")
    first, again, elsewhere = (
        await acme.create(request),
        await acme.create(request),
        await globex.create(request),
    )

    assert again.id == first.id
    assert elsewhere.id != first.id


async def test_without_an_address_at_the_tool_the_brief_stays_here_and_says_so(
    acme: Client, peers: Peers
) -> None:
    peers.tenants.base_urls = {}

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert not ended.HasField("note")
    deliver = ended.steps[-1]
    assert (deliver.name, deliver.state) == ("deliver", pb.STEP_STATE_SKIPPED)
    assert "base_url" in deliver.detail
