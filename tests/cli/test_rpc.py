"""Calls from the command to a service of a running instance."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from cli.errors import DossierError
from cli.instance import Instance, InstanceRecord, Phase, ProcessMark
from cli.ports import SERVICES
from cli.rpc import calling
from services.runtime.caller import current_caller, current_tenant
from services.runtime.serve import Service, serving
from services.runtime.settings import ServiceSettings
from services.runtime.tokens import generate_keys
from tests.support.grpc_echo import DESCRIPTOR, EchoServicer, EchoStub, add_to, echo


async def describe_caller(_: str) -> str:
    caller = current_caller()
    return f"{current_tenant()} {caller.role}"


@pytest.fixture
async def instance(tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance of one service: an echo in the place of history."""
    instance = Instance(tmp_path)
    generate_keys(instance.keys)
    settings = ServiceSettings(grpc_port=0, metrics_port=0, token_jwks_file=instance.jwks)

    async def build(_settings: ServiceSettings, _closers: AsyncExitStack) -> Service:
        servicer = EchoServicer(describe_caller)
        return Service([(DESCRIPTOR, lambda server: add_to(server, servicer))], {})

    async with serving("history", settings, build) as running:
        instance.write(
            InstanceRecord(
                phase=Phase.RUNNING,
                supervisor=ProcessMark(pid=os.getpid(), created=psutil.Process().create_time()),
                gateway_port=0,
                public_url="http://localhost:0",
                first_service_port=running.port - SERVICES.index("history"),
                database="embedded",
                redis="embedded",
            )
        )
        yield instance


async def test_a_call_acts_for_the_named_tenant_in_the_users_role(instance: Instance) -> None:
    async with calling(instance, "history", descriptors=[DESCRIPTOR], tenant="acme") as channel:
        answer = await EchoStub(channel).Say(echo("who"))

    assert answer.text == "acme operator"


async def test_a_refusal_is_told_with_its_reason(instance: Instance) -> None:
    with pytest.raises(DossierError, match=r"history: .*\(TENANT_REQUIRED\)"):
        async with calling(instance, "history", descriptors=[DESCRIPTOR], tenant=None) as channel:
            await EchoStub(channel).Say(echo("who"))


async def test_a_stopped_service_is_told_with_the_next_step(instance: Instance) -> None:
    with pytest.raises(DossierError) as raised:
        async with calling(instance, "network", descriptors=[DESCRIPTOR], tenant="acme") as channel:
            await EchoStub(channel).Say(echo("who"))

    assert "dossier up" in raised.value.hint
