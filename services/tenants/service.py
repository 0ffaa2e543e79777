"""Builds the service, and translates between its contract and its deeds."""

from contextlib import AsyncExitStack

import grpc

from audit.event import current_actor
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_service_pb2_grpc import add_TenantServiceServicer_to_server
from knowledgebases.discovery import load_connectors
from services.runtime.caller import current_caller
from services.runtime.database import Database
from services.runtime.notices import Notices
from services.runtime.paging import PageTokens
from services.runtime.serve import Service
from services.tenants import wire, wire_audit, wire_connection, wire_settings
from services.tenants.access import may_know, named, require_grant, require_may_set
from services.tenants.audit import verified
from services.tenants.change import Changer
from services.tenants.connection import ConnectionTester
from services.tenants.deeds import Deeds
from services.tenants.deletion import Deleter, Keeper, OwnRows
from services.tenants.deletions import Deletions
from services.tenants.departure_service import DepartureServicer
from services.tenants.disclose import Discloser
from services.tenants.errors import TenantNotFound
from services.tenants.issue_keys import KeyIssuer
from services.tenants.key_service import KeyServicer
from services.tenants.keys import open_sealer
from services.tenants.knowledge_base_service import KnowledgeBaseServicer
from services.tenants.model import TenantId, TenantState, tenant_id
from services.tenants.operator_service import OperatorServicer
from services.tenants.pages import DEFAULT_SIZE, page_of_clients, page_of_events
from services.tenants.peers import SUBJECT, open_peers
from services.tenants.redis_keys import RedisKeys
from services.tenants.register import Registrar
from services.tenants.remnants import Remnants
from services.tenants.retention import KEPT_DAYS, keep_retention
from services.tenants.retrieval_service import RetrievalServicer
from services.tenants.rules import Installed
from services.tenants.secret_service import SecretServicer
from services.tenants.settings import TenantsSettings
from services.tenants.store import Directory
from services.tenants.tenant_data import tenant_rows
from ticketing.discovery import load_tools
from ticketing.options import EVERYWHERE


async def build(settings: TenantsSettings, closers: AsyncExitStack) -> Service:
    database = Database.lazy(
        settings.database_url.get_secret_value(),
        role="dossier_tenants",
        pool_max=settings.database_pool_max,
        statement_cache=settings.database_statement_cache,
    )
    closers.push_async_callback(database.close)
    directory = Directory(database, Notices.of("tenants", settings, closers))
    rows = tenant_rows(database, audit_days=settings.retention_days)
    peers = open_peers(settings, closers)
    keepers: list[Keeper] = [*peers.values(), OwnRows(rows)]
    if settings.redis_url is not None:
        keys = RedisKeys(settings.redis_url.get_secret_value())
        closers.push_async_callback(keys.close)
        keepers.append(keys)
    deletions = Deletions(database, rows)
    remnants = Remnants(deletions, list(peers.values()))
    deleter = Deleter(directory, deletions, keepers, remnants, pause_seconds=settings.deletion_pause_seconds)
    expiring = {name: rows if name == SUBJECT else peers[name] for name in KEPT_DAYS}
    sealer, tools = await open_sealer(settings, closers), load_tools()
    connectors = load_connectors()
    installed = Installed(
        tools={name: tool.options | EVERYWHERE for name, tool in tools.items()},
        connectors={name: connector.options for name, connector in connectors.items()},
        searchable={name for name, connector in connectors.items() if connector.can_search},
    )
    permits = settings.permitted_networks
    servicer = TenantServicer(
        Deeds(
            directory=directory,
            sealer=sealer,
            registrar=Registrar(directory, remnants, sealer, installed, permits),
            changer=Changer(directory, sealer, installed, permits),
            issuer=KeyIssuer(directory),
            discloser=Discloser(directory, sealer),
            tester=ConnectionTester(tools, permits),
            deletions=deletions,
            deleter=deleter,
            sources={SUBJECT: rows, **peers},
            public_url=str(settings.public_url or "").rstrip("/"),
        )
    )
    return Service(
        servicers=[
            (
                pb.DESCRIPTOR.services_by_name["TenantService"],
                lambda server: add_TenantServiceServicer_to_server(servicer, server),
            )
        ],
        checks={"postgresql": database.check},
        background=[
            deleter.run,
            lambda: keep_retention(directory, expiring, every_seconds=settings.retention_sweep_seconds),
        ],
    )


class TenantServicer(
    KeyServicer,
    SecretServicer,
    KnowledgeBaseServicer,
    RetrievalServicer,
    DepartureServicer,
    OperatorServicer,
):
    """The whole contract: here the clients themselves, their audit logs and their shares of the queue."""

    async def CreateTenant(
        self,
        request: pb.CreateTenantRequest,
        context: grpc.aio.ServicerContext[pb.CreateTenantRequest, pb.CreateTenantResponse],
    ) -> pb.CreateTenantResponse:
        require_grant("CreateTenant", current_caller())
        registered = await self._deeds.registrar.register(
            wire.read_new_tenant(request),
            actor=current_actor(),
            credentials=request.ticketing_credentials,
            request_id=request.request_id,
        )
        response = wire.write_registered(registered)
        response.webhook_url = wire_connection.webhook_url(registered.tenant, self._deeds.public_url)
        if registered.tenant.ticketing.base_url and not request.skip_connection_test:
            findings = await self._deeds.tester.test(registered.tenant, request.ticketing_credentials)
            response.connection_test.CopyFrom(wire_connection.write_test(findings))
        return response

    async def GetTenant(
        self,
        request: pb.GetTenantRequest,
        context: grpc.aio.ServicerContext[pb.GetTenantRequest, pb.GetTenantResponse],
    ) -> pb.GetTenantResponse:
        require_grant("GetTenant", current_caller())
        found = None
        if may_know(current_caller(), request.tenant_id):
            found = await self._deeds.directory.tenant(tenant_id(request.tenant_id))
        if found is None:
            raise TenantNotFound(request.tenant_id)
        return pb.GetTenantResponse(tenant=wire.write_tenant(found))

    async def ListTenants(
        self,
        request: pb.ListTenantsRequest,
        context: grpc.aio.ServicerContext[pb.ListTenantsRequest, pb.ListTenantsResponse],
    ) -> pb.ListTenantsResponse:
        caller = current_caller()
        require_grant("ListTenants", caller)
        if caller.tenant is not None:
            own = await self._deeds.directory.tenant(tenant_id(caller.tenant))
            return pb.ListTenantsResponse(tenants=[wire.write_tenant(own)] if own is not None else [])
        tokens = PageTokens("ListTenants", tenant="")
        after = wire.tenant_of_page(tokens.decode(request.page_token))
        size = request.page_size or DEFAULT_SIZE
        found = await self._deeds.directory.tenants_after(after, size + 1)
        page = found[:size]
        return pb.ListTenantsResponse(
            tenants=map(wire.write_tenant, page),
            next_page_token=tokens.encode(page[-1].id) if len(found) > size else "",
        )

    async def UpdateTenant(
        self,
        request: pb.UpdateTenantRequest,
        context: grpc.aio.ServicerContext[pb.UpdateTenantRequest, pb.UpdateTenantResponse],
    ) -> pb.UpdateTenantResponse:
        tenant = named("UpdateTenant", current_caller(), request.tenant_id)
        wanted = wire.read_update(request)
        require_may_set(current_caller(), request.update_mask.paths)
        updated = await self._deeds.changer.update(
            tenant,
            wanted,
            actor=current_actor(),
            etag=wire.read_etag(request),
            validate_only=request.validate_only,
        )
        return pb.UpdateTenantResponse(
            tenant=wire.write_tenant(updated.tenant), changes=map(wire_audit.write_change, updated.changes)
        )

    async def SuspendTenant(
        self,
        request: pb.SuspendTenantRequest,
        context: grpc.aio.ServicerContext[pb.SuspendTenantRequest, pb.SuspendTenantResponse],
    ) -> pb.SuspendTenantResponse:
        tenant = await self._deeds.changer.set_state(
            named("SuspendTenant", current_caller(), request.tenant_id),
            TenantState.SUSPENDED,
            actor=current_actor(),
        )
        return pb.SuspendTenantResponse(tenant=wire.write_tenant(tenant))

    async def ResumeTenant(
        self,
        request: pb.ResumeTenantRequest,
        context: grpc.aio.ServicerContext[pb.ResumeTenantRequest, pb.ResumeTenantResponse],
    ) -> pb.ResumeTenantResponse:
        tenant = await self._deeds.changer.set_state(
            named("ResumeTenant", current_caller(), request.tenant_id),
            TenantState.ACTIVE,
            actor=current_actor(),
        )
        return pb.ResumeTenantResponse(tenant=wire.write_tenant(tenant))

    async def ListAuditEvents(
        self,
        request: pb.ListAuditEventsRequest,
        context: grpc.aio.ServicerContext[pb.ListAuditEventsRequest, pb.ListAuditEventsResponse],
    ) -> pb.ListAuditEventsResponse:
        tenant = await self._known("ListAuditEvents", request.tenant_id)
        events, following = await page_of_events(self._deeds.directory, "ListAuditEvents", tenant, request)
        return pb.ListAuditEventsResponse(
            events=map(wire_audit.write_event, events), next_page_token=following
        )

    async def VerifyAuditLog(
        self,
        request: pb.VerifyAuditLogRequest,
        context: grpc.aio.ServicerContext[pb.VerifyAuditLogRequest, pb.VerifyAuditLogResponse],
    ) -> pb.VerifyAuditLogResponse:
        tenant = await self._known("VerifyAuditLog", request.tenant_id)
        known = bytes.fromhex(request.known_hash) or None
        anchor, events = await self._deeds.directory.audit_log(tenant)
        verdict = await verified(events, known=known, anchor=anchor)
        return pb.VerifyAuditLogResponse(**wire_audit.verdict_fields(verdict, asked=known is not None))

    async def ListQueueShares(
        self,
        request: pb.ListQueueSharesRequest,
        context: grpc.aio.ServicerContext[pb.ListQueueSharesRequest, pb.ListQueueSharesResponse],
    ) -> pb.ListQueueSharesResponse:
        require_grant("ListQueueShares", current_caller())
        page, following = await page_of_clients(
            "ListQueueShares", request, self._deeds.directory.queue_shares_after
        )
        return pb.ListQueueSharesResponse(
            shares=[wire_settings.write_share(tenant, queue) for tenant, queue in page],
            next_page_token=following,
        )

    async def RecordAuditEvents(
        self,
        request: pb.RecordAuditEventsRequest,
        context: grpc.aio.ServicerContext[pb.RecordAuditEventsRequest, pb.RecordAuditEventsResponse],
    ) -> pb.RecordAuditEventsResponse:
        caller = current_caller()
        require_grant("RecordAuditEvents", caller)
        # Its token says whose events they are and where they were made: none can be slipped in elsewhere.
        recorded = await self._deeds.directory.record(
            TenantId(caller.tenant) if caller.tenant is not None else None,
            [wire_audit.read_reported(each, service=caller.subject) for each in request.events],
        )
        return pb.RecordAuditEventsResponse(recorded_count=recorded)
