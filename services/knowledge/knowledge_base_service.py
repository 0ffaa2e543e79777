"""The RPCs about clients' own knowledge bases: how their syncs stand, a sync now, a test."""

from typing import Final

import grpc

from audit.event import current_actor
from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1 import knowledge_service_pb2_grpc as pb_grpc
from knowledgebases.checks import Check, Finding, Verdict, check_connection
from knowledgebases.errors import Rejected
from services.knowledge import wire_bases
from services.knowledge.bases import Base, Bases
from services.knowledge.errors import KnowledgeBaseNotFound
from services.knowledge.model import Source
from services.knowledge.peers import AccessUnknown, NotServed
from services.knowledge.syncs import Syncs
from services.runtime.caller import current_tenant
from services.runtime.deadline import remaining_seconds
from services.runtime.errors import DependencyUnavailable

_TEST_SECONDS: Final = 20.0
_TEST_SECONDS_EACH: Final = 8.0
_MARGIN_SECONDS: Final = 1.0


class KnowledgeBaseServicer(pb_grpc.KnowledgeServiceServicer):
    """What remains of the contract is `KnowledgeServicer`'s."""

    def __init__(self, bases: Bases, syncs: Syncs) -> None:
        self._bases = bases
        self._syncs = syncs

    async def ListKnowledgeBaseSyncs(
        self,
        request: pb.ListKnowledgeBaseSyncsRequest,
        context: grpc.aio.ServicerContext[
            pb.ListKnowledgeBaseSyncsRequest, pb.ListKnowledgeBaseSyncsResponse
        ],
    ) -> pb.ListKnowledgeBaseSyncsResponse:
        standings = await self._syncs.standings(current_tenant())
        return pb.ListKnowledgeBaseSyncsResponse(syncs=map(wire_bases.write_standing, standings))

    async def SyncKnowledgeBase(
        self,
        request: pb.SyncKnowledgeBaseRequest,
        context: grpc.aio.ServicerContext[pb.SyncKnowledgeBaseRequest, pb.SyncKnowledgeBaseResponse],
    ) -> pb.SyncKnowledgeBaseResponse:
        base = await self._base(request.knowledge_base)
        if not base.synced or base.paused:
            raise KnowledgeBaseNotFound(base.name, "that is synced")
        standing = await self._syncs.ask(current_tenant(), base.name, by=current_actor())
        return pb.SyncKnowledgeBaseResponse(sync=wire_bases.write_standing(standing))

    async def TestKnowledgeBase(
        self,
        request: pb.TestKnowledgeBaseRequest,
        context: grpc.aio.ServicerContext[pb.TestKnowledgeBaseRequest, pb.TestKnowledgeBaseResponse],
    ) -> pb.TestKnowledgeBaseResponse:
        base = await self._base(request.knowledge_base)
        left = remaining_seconds()
        try:
            findings = await check_connection(
                base.http,
                base.connector,
                base.connection,
                seconds=_TEST_SECONDS if left is None else min(_TEST_SECONDS, left - _MARGIN_SECONDS),
                seconds_each=_TEST_SECONDS_EACH,
            )
        except Rejected as error:
            # Its connector was installed when it was set, and is no more.
            findings = [Finding(Check.REACHABLE, Verdict.FAILED, error.message, error.next_step)]
        return pb.TestKnowledgeBaseResponse(checks=map(wire_bases.write_finding, findings))

    async def _base(self, name: str) -> Base:
        """As it is set now."""
        try:
            reached = await self._bases.reach_anew(current_tenant())
        except NotServed:
            reached = {}
        except AccessUnknown as error:
            raise DependencyUnavailable("tenants", "does not answer") from error
        base = reached.get(Source(name))
        if base is None:
            raise KnowledgeBaseNotFound(name)
        return base
