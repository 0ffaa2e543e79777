"""What the service can do, and what all its RPCs are answered with."""

from collections.abc import Mapping
from dataclasses import dataclass

from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceServicer
from services.runtime.caller import current_caller
from services.tenants.access import named
from services.tenants.change import Changer
from services.tenants.connection import ConnectionTester
from services.tenants.deletion import Deleter
from services.tenants.deletions import Deletions
from services.tenants.disclose import Discloser
from services.tenants.errors import TenantNotFound
from services.tenants.export import Source
from services.tenants.issue_keys import KeyIssuer
from services.tenants.model import TenantId
from services.tenants.register import Registrar
from services.tenants.sealing import Sealer
from services.tenants.store import Directory


@dataclass(frozen=True, slots=True)
class Deeds:
    directory: Directory
    sealer: Sealer
    registrar: Registrar
    changer: Changer
    issuer: KeyIssuer
    discloser: Discloser
    tester: ConnectionTester
    deletions: Deletions
    deleter: Deleter
    sources: Mapping[str, Source]
    """What an export asks, by the name that its files have."""
    public_url: str


class DeedServicer(TenantServiceServicer):
    """Some RPCs of the contract are answered by each class that inherits."""

    def __init__(self, deeds: Deeds) -> None:
        self._deeds = deeds

    async def _known(self, rpc: str, tenant: str) -> TenantId:
        """The client that the caller names, which has to be there."""
        asked = named(rpc, current_caller(), tenant)
        if await self._deeds.directory.tenant(asked) is None:
            raise TenantNotFound(tenant)
        return asked
