"""Clients' own knowledge bases: which there are, and how each is reached."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final

from aiohttp import ClientSession
from async_lru import alru_cache

from dossier.tenants.v1.knowledge_base_pb2 import (
    KNOWLEDGE_BASE_MODE_BOTH,
    KNOWLEDGE_BASE_MODE_SEARCH,
    KnowledgeBase,
)
from dossier.tenants.v1.tenant_service_pb2 import GetKnowledgeBaseAccessResponse
from egress.connection import Connection
from egress.session import GuardedSessions
from knowledgebases.contract import Connector
from knowledgebases.discovery import connector_named
from knowledgebases.errors import Rejected, UnknownConnector
from services.knowledge.model import Source
from services.knowledge.peers import AccessUnknown, TenantsPeer
from services.runtime.deadline import lifted
from tuning.copies import Copy

_BELIEVED_SECONDS: Final = 2.0
_MOST_TENANTS: Final = 4096
_SYNC_MINUTES: Final = 60
_SEARCH_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Base:
    """One knowledge base, and what reaches it."""

    name: Source
    synced: bool
    searched: bool
    paused: bool
    every: timedelta
    """How long after one sync the next begins."""
    seconds: float
    """How long a search waits."""
    version: str
    """Changes with its settings and credentials."""
    connector_name: str
    connection: Connection
    connectors: Mapping[str, Connector]
    http: ClientSession

    @property
    def connector(self) -> Connector:
        """Raises `Rejected`: one that was installed when it was set may be no more."""
        try:
            return connector_named(self.connectors, self.connector_name)
        except UnknownConnector as error:
            raise Rejected(str(error), "install it, or change the knowledge base's connector") from error


class Bases:
    def __init__(
        self, peer: TenantsPeer, connectors: Mapping[str, Connector], sessions: GuardedSessions
    ) -> None:
        self._connectors = connectors
        self._sessions = sessions
        self._copy = Copy(peer.knowledge_bases, service="knowledge", what="knowledge_bases")
        self._peer = peer
        self._access = alru_cache(maxsize=_MOST_TENANTS, ttl=_BELIEVED_SECONDS)(self._asked)
        self.follow = self._copy.follow

    def searched(self, tenant: str) -> Sequence[Source] | None:
        """The names of those that are asked in a search of this client's; None while nobody has said."""
        if not self._copy.is_made:
            return None
        return [Source(base.name) for base in self._copy.by_tenant.get(tenant, ()) if _is_searched(base)]

    def synced(self) -> Mapping[str, Mapping[Source, str]] | None:
        """Those that are synced, of every client that has some, by name; None while nobody has said.

        With each goes something that changes with its settings.
        """
        if not self._copy.is_made:
            return None
        return {
            tenant: settings
            for tenant, bases in self._copy.by_tenant.items()
            if (settings := {Source(base.name): _digest(base) for base in bases if _is_synced(base)})
        }

    async def reach_anew(self, tenant: str) -> Mapping[Source, Base]:
        """As `reach`, without believing what was said a moment ago: articles may be removed for it."""
        self._access.cache_invalidate(tenant)
        return await self.reach(tenant)

    async def reach(self, tenant: str) -> Mapping[Source, Base]:
        """How all of a client's are reached now, by name. Raises `NotServed` and `AccessUnknown`."""
        # Who stops waiting does not stop it: the next would begin anew.
        access = await asyncio.shield(self._access(tenant))
        if isinstance(access, AccessUnknown):
            raise access.with_traceback(None)
        return {
            Source(each.knowledge_base.name): self._base(
                tenant, each.knowledge_base, each.credentials, access.secret_id
            )
            for each in access.knowledge_bases
        }

    async def _asked(self, tenant: str) -> GetKnowledgeBaseAccessResponse | AccessUnknown:
        """That tenants is away is believed for as long as what it says."""
        # In its own time: others wait for it too.
        with lifted():
            try:
                return await self._peer.access(tenant)
            except AccessUnknown as error:
                return error

    def _base(self, tenant: str, base: KnowledgeBase, credentials: Mapping[str, str], secret_id: str) -> Base:
        settings = base.SerializeToString(deterministic=True)
        return Base(
            name=Source(base.name),
            synced=_is_synced(base),
            searched=_is_searched(base),
            paused=base.paused,
            every=timedelta(minutes=base.sync_minutes or _SYNC_MINUTES),
            seconds=base.deadline_ms / 1000 or _SEARCH_SECONDS,
            version=sha256(settings + secret_id.encode()).hexdigest(),
            connector_name=base.connector,
            connection=Connection(base.base_url, dict(credentials), dict(base.options)),
            connectors=self._connectors,
            http=self._sessions.of(tenant),
        )


def _digest(base: KnowledgeBase) -> str:
    return sha256(base.SerializeToString(deterministic=True)).hexdigest()


def _is_searched(base: KnowledgeBase) -> bool:
    return not base.paused and base.mode in {KNOWLEDGE_BASE_MODE_SEARCH, KNOWLEDGE_BASE_MODE_BOTH}


def _is_synced(base: KnowledgeBase) -> bool:
    """Also while it is paused: what is kept of it stays."""
    return base.mode != KNOWLEDGE_BASE_MODE_SEARCH
