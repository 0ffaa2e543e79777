"""The sample client's new incidents: what is known is found, and the unknown stays unknown."""

import json
from pathlib import Path
from typing import TypedDict

from google.protobuf.timestamp_pb2 import Timestamp

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1.past_ticket_pb2 import PastTicket
from tests.history.client import Client

SAMPLE = Path(__file__).resolve().parents[2] / "cli" / "sample"


class Expected(TypedDict):
    tickets: list[str]
    assets: list[str]


class Incident(TypedDict):
    id: str
    subject: str
    description: str
    expected: Expected


def past_tickets() -> list[PastTicket]:
    tickets = []
    for line in (SAMPLE / "tickets.jsonl").read_text().splitlines():
        row = json.loads(line)
        created, resolved = row.pop("created"), row.pop("resolved")
        ticket = PastTicket(**row)
        for field, value in ((ticket.create_time, created), (ticket.resolve_time, resolved)):
            if value:
                time = Timestamp()
                time.FromJsonString(value)
                field.CopyFrom(time)
        tickets.append(ticket)
    return tickets


def incidents() -> list[Incident]:
    return [json.loads(line) for line in (SAMPLE / "incidents.jsonl").read_text().splitlines()]


async def test_each_known_incident_finds_the_ticket_that_solved_it_before(acme: Client) -> None:
    tickets = past_tickets()
    assert (await acme.import_(*tickets)).created_count == len(tickets)

    for incident in incidents():
        if not incident["expected"]["tickets"]:
            continue
        request = pb.SearchSimilarTicketsRequest(
            subject=incident["subject"],
            description=incident["description"],
            assets=incident["expected"]["assets"],
        )
        results = await acme.search(request)
        first = [result.ticket.id for result in results[:3]]
        assert set(incident["expected"]["tickets"]) <= set(first), (incident["id"], first)
        assert results[0].explanation.matched_terms, incident["id"]
        assert "resolved" in results[0].explanation.boosts, incident["id"]


async def test_an_incident_unlike_any_before_finds_nothing(acme: Client) -> None:
    await acme.import_(*past_tickets())

    unknown = [incident for incident in incidents() if not incident["expected"]["tickets"]]

    assert len(unknown) == 1
    assert await acme.found(unknown[0]["subject"], unknown[0]["description"]) == []
