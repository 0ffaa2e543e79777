"""A caller of the orchestrator's, for one tenant and role."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1 import enhancement_pb2 as enhancement
from dossier.orchestrator.v1 import orchestrator_service_pb2 as pb
from tests.support.keys import Keys

if TYPE_CHECKING:
    from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceAsyncStub

SECONDS = 30.0

_numbers = itertools.count(1)


def submission(ticket_id: str = "1", *, tenant: str = "acme", **fields: object) -> pb.Submission:
    """As the gateway sends it: fields not named here are those of a new ticket."""
    ticket = Ticket(
        id=ticket_id, tool="servicedesk_plus", subject="VPN drops", description="The VPN at fw-01 drops."
    )
    defaults: dict[str, object] = {"revision": f"revision-{next(_numbers)}", "ticket": ticket}
    return pb.Submission(tenant_id=tenant, **{**defaults, **fields})  # type: ignore[arg-type]


class Client:
    def __init__(self, stub: "OrchestratorServiceAsyncStub", keys: Keys, *, tenant: str) -> None:
        self.stub = stub
        self._keys = keys
        self._tenant = tenant

    def acting(self, role: str = "technician", *, subject: str = "gateway") -> tuple[tuple[str, str], ...]:
        return self._keys.metadata("orchestrator", tenant=self._tenant, role=role, subject=subject)

    async def submit(self, *submissions: pb.Submission) -> list[pb.SubmitResult]:
        metadata = self._keys.metadata("orchestrator", tenant=None, role="service", subject="gateway")
        request = pb.SubmitEnhancementsRequest(submissions=submissions)
        return list((await self.stub.SubmitEnhancements(request, metadata=metadata)).results)

    async def submit_one(self, ticket_id: str = "1", **fields: object) -> str:
        (result,) = await self.submit(submission(ticket_id, tenant=self._tenant, **fields))
        return result.enhancement_id

    async def create(self, request: pb.CreateEnhancementRequest) -> enhancement.Enhancement:
        return (await self.stub.CreateEnhancement(request, metadata=self.acting())).enhancement

    async def get(self, enhancement_id: str) -> enhancement.Enhancement:
        request = pb.GetEnhancementRequest(enhancement_id=enhancement_id)
        return (await self.stub.GetEnhancement(request, metadata=self.acting())).enhancement

    async def page(self, **fields: object) -> pb.ListEnhancementsResponse:
        request = pb.ListEnhancementsRequest(**fields)  # type: ignore[arg-type]
        return await self.stub.ListEnhancements(request, metadata=self.acting())

    async def watch(self, enhancement_id: str) -> AsyncIterator[enhancement.Enhancement]:
        request = pb.WatchEnhancementRequest(enhancement_id=enhancement_id)
        async for response in self.stub.WatchEnhancement(request, metadata=self.acting(), timeout=SECONDS):
            yield response.enhancement

    async def ended(self, enhancement_id: str) -> enhancement.Enhancement:
        """Wait for the end of the run."""
        async for seen in self.watch(enhancement_id):
            if seen.HasField("end_time"):
                return seen
        raise AssertionError("the watch ended before the run")

    async def reached(self, enhancement_id: str, step: str, *, attempt: int = 1) -> enhancement.Enhancement:
        """Wait until that attempt at the step is begun."""
        async with asyncio.timeout(SECONDS):
            while True:
                seen = await self.get(enhancement_id)
                if any(each.name == step and each.attempt >= attempt for each in seen.steps):
                    return seen
                await asyncio.sleep(0.02)

    async def feedback(self, *, request_id: str = "", **fields: object) -> enhancement.Feedback:
        given = enhancement.Feedback(**fields)  # type: ignore[arg-type]
        request = pb.SubmitFeedbackRequest(feedback=given, request_id=request_id)
        return (await self.stub.SubmitFeedback(request, metadata=self.acting())).feedback
