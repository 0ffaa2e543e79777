"""The keys of service tokens rotate under a mesh that works."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import httpx

from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_SUCCEEDED
from dossier.orchestrator.v1.orchestrator_service_pb2 import DESCRIPTOR, ListEnhancementsRequest
from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from services.runtime.errors import error_info
from tests.support.leaks import Watch
from tests.support.mesh import Mesh

ORCHESTRATOR = DESCRIPTOR.services_by_name["OrchestratorService"]
OVERLAP_SECONDS = 4
PAUSE_SECONDS = 0.005
CALLS_AT_LEAST = 20
"""Some before, some while both keys count, and some after, on a machine with much other work."""


async def test_no_call_is_refused_while_the_keys_rotate_and_the_former_keys_tokens_are_afterwards(
    mesh: Mesh, watch: Watch
) -> None:
    former = mesh.dossier("token", "--tenant", mesh.tenant).stdout.strip()
    answered = dict.fromkeys(("rest", "grpc"), 0)
    rotated = asyncio.Event()

    async def again_and_again(name: str, call: Callable[[], Awaitable[object]]) -> None:
        while not rotated.is_set():
            await call()
            answered[name] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def rotate() -> None:
        try:
            done = await asyncio.to_thread(
                mesh.dossier, "signing-keys", "rotate", "--json", "--overlap-seconds", str(OVERLAP_SECONDS)
            )
            assert done.returncode == 0, done.stderr
            # Past the end of the former key, and on.
            enhancement = await asyncio.to_thread(mesh.accepted, "VPN drops while the keys rotate")
            assert (await mesh.ended(enhancement)).state == ENHANCEMENT_STATE_SUCCEEDED
            await asyncio.sleep(OVERLAP_SECONDS + 1)
        finally:
            rotated.set()

    async with (
        httpx.AsyncClient(
            base_url=mesh.gateway_url, headers={"x-api-key": mesh.client.api_key}, trust_env=False, timeout=30
        ) as http,
        mesh.calling("orchestrator", ORCHESTRATOR) as channel,
        asyncio.TaskGroup() as group,
    ):
        stub = OrchestratorServiceStub(channel)

        async def by_rest() -> None:
            (await http.get("/v1/enhancements")).raise_for_status()

        async def by_grpc() -> None:
            await stub.ListEnhancements(ListEnhancementsRequest())

        group.create_task(again_and_again("rest", by_rest))
        group.create_task(again_and_again("grpc", by_grpc))
        group.create_task(rotate())

    watch.keep_keys_of(mesh.instance)
    assert min(answered.values()) > CALLS_AT_LEAST, answered
    assert await refused_as(mesh, former) == "TOKEN_INVALID"
    assert await refused_as(mesh, mesh.dossier("token", "--tenant", mesh.tenant).stdout.strip()) == ""


async def refused_as(mesh: Mesh, token: str) -> str:
    address = f"localhost:{mesh.record.ports.serving('orchestrator')}"
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            await OrchestratorServiceStub(channel).ListEnhancements(
                ListEnhancementsRequest(), metadata=metadata, timeout=10
            )
        except grpc.aio.AioRpcError as refused:
            info = error_info(refused)
            return info.reason if info is not None else refused.code().name
    return ""
