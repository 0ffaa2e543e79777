"""The quick look at a message agrees with the rules of its contract, at every edge."""

from collections.abc import Callable

import protovalidate
import pytest
from google.protobuf.message import Message

from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1.enhancement_pb2 import Feedback
from dossier.orchestrator.v1.orchestrator_service_pb2 import (
    CreateEnhancementRequest,
    Submission,
    SubmitEnhancementsRequest,
    UpdateQueueRequest,
)
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest
from services.runtime.lengths import quick_look
from services.runtime.rules import violations_of


def ticket(**fields: object) -> Ticket:
    return Ticket(**{"id": "1", "tool": "servicedesk_plus", **fields})  # type: ignore[arg-type]


def submission(**fields: object) -> Submission:
    given: dict[str, object] = {"tenant_id": "acme", "revision": "r1", "ticket": ticket(), **fields}
    return Submission(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


MESSAGES: dict[str, Callable[[], Message]] = {
    "whole": submission,
    "no ticket": lambda: submission(ticket=None),
    "no tenant": lambda: submission(tenant_id=""),
    "longest tenant": lambda: submission(tenant_id="a" * 63),
    "tenant too long": lambda: submission(tenant_id="a" * 64),
    "no revision": lambda: submission(revision=""),
    "ticket without id": lambda: submission(ticket=ticket(id="")),
    "id too long": lambda: submission(ticket=ticket(id="1" * 129)),
    "letters, not bytes": lambda: submission(ticket=ticket(id="\u00e4" * 128)),
    "most tags": lambda: submission(ticket=ticket(tags=["x"] * 64)),
    "too many tags": lambda: submission(ticket=ticket(tags=["x"] * 65)),
    "tag too long": lambda: submission(ticket=ticket(tags=["x", "y" * 129])),
    "empty batch": SubmitEnhancementsRequest,
    "batch": lambda: SubmitEnhancementsRequest(submissions=[submission(), submission()]),
    "batch with one wrong": lambda: SubmitEnhancementsRequest(
        submissions=[submission(), submission(revision="")]
    ),
    "batch too long": lambda: SubmitEnhancementsRequest(submissions=[submission()] * 501),
    "by hand": lambda: CreateEnhancementRequest(ticket=ticket()),
    "by hand, without ticket": CreateEnhancementRequest,
    "empty feedback": lambda: Feedback(enhancement_id="e"),
    "rating": lambda: Feedback(enhancement_id="e", rating=6),
    "language": lambda: WriteBriefRequest(request_id="r", ticket=ticket()),
    "weight": lambda: UpdateQueueRequest(weight=0),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", MESSAGES)
def test_it_finds_something_where_the_contract_does(name: str) -> None:
    message = MESSAGES[name]()

    assert len(violations_of(message)) == len(protovalidate.collect_violations(message))


@pytest.mark.parametrize("kind", [Submission, SubmitEnhancementsRequest, Ticket])
def test_what_arrives_most_is_looked_at_quickly(kind: type[Message]) -> None:
    assert quick_look(kind.DESCRIPTOR) is not None


@pytest.mark.parametrize("kind", [Feedback, WriteBriefRequest, UpdateQueueRequest])
def test_rules_of_other_kinds_are_left_to_the_general_evaluation(kind: type[Message]) -> None:
    assert quick_look(kind.DESCRIPTOR) is None
