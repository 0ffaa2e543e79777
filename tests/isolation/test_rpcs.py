"""Every RPC, asked with a token for borealis about what is aster's: as if there were no aster."""

from collections.abc import Sequence

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from cli.ports import SERVICES
from services.runtime.caller import ROLES
from tests.isolation.belongings import steady
from tests.isolation.calls import Answer, Credential, methods, name_of, only_reads, served_by
from tests.isolation.cases import ACROSS_CLIENTS, CASES, NOT_SERVED
from tests.isolation.world import BOREALIS, FOREIGN, World

OURS = [method for method in methods() if method.containing_service.name not in NOT_SERVED]
NO_ANSWER = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "UNIMPLEMENTED", "DEADLINE_EXCEEDED", "UNAUTHENTICATED"}
"""By these nothing is shown: the call did not get to what is asked here."""
KNOWN = {"OK", "ALREADY_EXISTS", "FAILED_PRECONDITION"}
"""What is told of things that are there."""
OWN = (
    *FOREIGN,
    Credential(None, "operator"),
    Credential(None, "service", "gateway"),
    # For nobody, of whom it erases nothing.
    Credential("nobody-at-all", "service", "tenants"),
)


def test_every_rpc_has_a_case_and_every_case_an_rpc() -> None:
    names = [name_of(method) for method in methods()]
    assert set(names) - CASES.keys() == set(), "cases.py says how to add one"
    assert CASES.keys() - set(names) == set()
    assert len(names) == len(set(names)) > 0
    assert {rpc for rpc, _ in ACROSS_CLIENTS} <= set(names)


def test_every_role_is_tried() -> None:
    assert {caller.role for caller in FOREIGN} == ROLES
    assert {caller.tenant for caller in FOREIGN} == {BOREALIS}


@pytest.mark.parametrize("method", OURS, ids=name_of)
@pytest.mark.parametrize("caller", FOREIGN, ids=str)
def test_asters_things_are_as_things_that_nobody_has(
    world: World, method: MethodDescriptor, caller: Credential
) -> None:
    if (name_of(method), str(caller)) in ACROSS_CLIENTS:
        assert method.containing_service.name == "TenantService"
        return
    case = CASES[name_of(method)]
    about_aster, about_nobody = case(world.aster.has), case(world.nobody)

    with world.asters_stay_as_they_are():
        answers = asked_of_all(world, method, about_aster, caller)
    if about_aster != about_nobody:
        expected = world.services.ask(method, about_nobody, caller, claimed_tenant=world.nobody.tenant)
        assert hidden(world, answers) == hidden(world, expected)

    for answer in answers:
        assert answer.code not in NO_ANSWER or answer.reason == "API_KEY_INVALID", answer
        # What borealis itself has just said is no news to it.
        assert world.aster.has.seen_in(world.aster.has.hide_in(answer.text())) == set()


def asked_of_all(
    world: World, method: MethodDescriptor, requests: Sequence[Message], caller: Credential
) -> Sequence[Answer]:
    return [
        answer
        for service in served_by(method)
        for answer in world.services.ask(
            method, requests, caller, claimed_tenant=world.aster.has.tenant, at=service
        )
    ]


def hidden(world: World, answers: Sequence[Answer]) -> Sequence[str]:
    return [steady(world.nobody.hide_in(world.aster.has.hide_in(answer.text()))) for answer in answers]


@pytest.mark.parametrize("method", [method for method in OURS if only_reads(method)], ids=name_of)
def test_what_borealis_reads_does_not_tell_that_there_is_an_aster(
    world: World, method: MethodDescriptor
) -> None:
    """Lists, counts, scores, costs, and places in the queue."""
    for caller in FOREIGN:
        key = (name_of(method), str(caller))
        if key not in ACROSS_CLIENTS:
            assert world.together[key] == world.alone[key]


@pytest.mark.parametrize("method", OURS, ids=name_of)
def test_the_same_is_answered_to_whom_it_belongs(world: World, method: MethodDescriptor) -> None:
    """Otherwise a case that asks nonsense would show nothing, and nobody would notice."""
    requests = CASES[name_of(method)](world.borealis.has)
    refused = {}
    for caller in OWN:
        answers = [
            answer
            for service in served_by(method)
            for answer in world.services.ask(method, requests, caller, at=service)
        ]
        if {answer.code for answer in answers} <= KNOWN:
            return
        refused[str(caller)] = answers
    pytest.fail(f"answered to nobody: {refused}")


@pytest.mark.parametrize(
    "method", [method for method in methods() if method.containing_service.name in NOT_SERVED], ids=name_of
)
def test_contracts_for_others_are_not_served_by_us(world: World, method: MethodDescriptor) -> None:
    requests = CASES[name_of(method)](world.aster.has)
    for service in SERVICES:
        (answer,) = world.services.ask(method, requests, FOREIGN[0], at=service)
        assert answer.code == "UNIMPLEMENTED"
