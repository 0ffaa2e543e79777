"""A service's life: start, readiness, drain, end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.runtime.errors import DependencyUnavailable
from services.runtime.readiness import Readiness
from tests.runtime.harness import echo_service, eventually
from tests.support.grpc_echo import SERVICE, echo
from tests.support.keys import Keys

Status = health_pb2.HealthCheckResponse


async def fine(text: str) -> str:
    return text


class Dependency:
    """Something a service needs, which may be away."""

    def __init__(self, *, there: bool) -> None:
        self.there = there

    async def check(self) -> None:
        if not self.there:
            raise DependencyUnavailable("postgresql", "refuses connections")


async def ready(readiness: Readiness) -> None:
    await eventually(lambda: not readiness.failing)


@pytest.mark.parametrize("name", ["", SERVICE])
async def test_health_follows_readiness_for_the_server_and_each_service(keys: Keys, name: str) -> None:
    database = Dependency(there=False)
    async with echo_service(keys, fine, checks={"database": database.check}) as service:
        health: Any = health_pb2_grpc.HealthStub(service.channel)
        request = health_pb2.HealthCheckRequest(service=name)
        assert (await health.Check(request)).status == Status.NOT_SERVING
        database.there = True
        watched = health.Watch(request)
        statuses = [status.status async for status in _until_serving(watched)]
        watched.cancel()
    assert statuses[-1] == Status.SERVING


async def _until_serving(watched: Any) -> AsyncIterator[Any]:
    async for status in watched:
        yield status
        if status.status == Status.SERVING:
            return


async def test_readiness_says_why_not_and_recovers_by_itself(keys: Keys) -> None:
    database = Dependency(there=False)
    async with (
        echo_service(keys, fine, checks={"database": database.check, "other": _passes}) as service,
        httpx.AsyncClient(base_url=service.running.metrics_url) as http,
    ):
        await eventually(lambda: "database" in service.running.readiness.failing)
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {
            "status": "not ready",
            "failing": {"database": "postgresql refuses connections"},
        }
        database.there = True
        await ready(service.running.readiness)
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()["failing"]) == (200, {})


async def test_a_check_that_hangs_is_a_reason_not_a_hang(keys: Keys) -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    async with echo_service(keys, fine, checks={"index": hangs}) as service:
        readiness = service.running.readiness
        await eventually(lambda: readiness.failing == {"index": "no answer within 2 s"}, within_seconds=10)


async def _passes() -> None:
    return


async def test_metrics_and_liveness_are_served_and_nothing_else(keys: Keys) -> None:
    async with (
        echo_service(keys, fine) as service,
        httpx.AsyncClient(base_url=service.running.metrics_url) as http,
    ):
        await service.stub.Say(echo("tea"))
        metrics = (await http.get("/metrics")).text
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/etc/passwd")).status_code == 404
    labels = f'grpc_method="Say",grpc_service="{SERVICE}",grpc_type="unary"'
    assert f"grpc_server_started_total{{{labels}}}" in metrics
    assert f'grpc_server_handled_total{{grpc_code="OK",{labels}}}' in metrics
    assert f"grpc_server_handling_seconds_count{{{labels}}}" in metrics


async def test_reflection_describes_every_service_to_anybody(keys: Keys) -> None:
    request = reflection_pb2.ServerReflectionRequest
    async with (
        echo_service(keys, fine) as service,
        grpc.aio.insecure_channel(service.running.target) as stranger,
    ):
        asked = [request(list_services=""), request(file_containing_symbol=SERVICE)]
        connection: Any = stranger
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(connection)
        answers = stub.ServerReflectionInfo(iter(asked))
        listed, described = [answer async for answer in answers]
    names = {each.name for each in listed.list_services_response.service}
    assert names == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    described_files = described.file_descriptor_response.file_descriptor_proto
    files = [FileDescriptorProto.FromString(raw) for raw in described_files]
    assert "EchoService" in {each.name for file in files for each in file.service}
