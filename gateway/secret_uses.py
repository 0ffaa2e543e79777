"""Tells the tenants service which webhook secrets are in use, apart from the webhooks' way.

What could not be told waits, one entry a secret, and is told later; a gateway that is killed forgets a few
seconds, which the next webhook makes good.
"""

import asyncio
import time
from typing import Final

import grpc
import structlog

from dossier.tenants.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from gateway.errors import ServiceFailed
from gateway.mesh import SUBJECT, asked
from gateway.telemetry import secret_uses_waiting
from services.runtime.caller import acting_for

_EVERY_SECONDS: Final = 2.0
_CALL_SECONDS: Final = 5.0
_MOST_AT_ONCE: Final = 500
# As precise as it is kept.
_NOTED_ONCE_IN_SECONDS: Final = 60.0

_log = structlog.get_logger(__name__)


class SecretUses:
    def __init__(self, tenants: grpc.aio.Channel) -> None:
        self._stub = tenant_service_pb2_grpc.TenantServiceStub(tenants)
        self._waiting: dict[tuple[str, str], float] = {}
        self._noted_until: dict[tuple[str, str], float] = {}
        self._away = False

    def note(self, tenant: str, secret_id: str) -> None:
        """Called with each webhook that is verified: costs a look into a dictionary."""
        key = tenant, secret_id
        now = time.monotonic()
        if self._noted_until.get(key, 0.0) < now:
            self._noted_until[key] = now + _NOTED_ONCE_IN_SECONDS
            self._waiting[key] = time.time()

    async def run(self) -> None:
        """Tell what is noted, every other second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self.tell()

    async def tell(self) -> None:
        """Tell all that waits; what is not taken goes on to wait."""
        now = time.monotonic()
        self._noted_until = {key: until for key, until in self._noted_until.items() if until > now}
        try:
            while self._waiting:
                batch = list(self._waiting.items())[:_MOST_AT_ONCE]
                request = tenant_service_pb2.RecordWebhookSecretUsesRequest()
                for (tenant, secret_id), used in batch:
                    use = request.uses.add(tenant_id=tenant, secret_id=secret_id)
                    use.use_time.FromMicroseconds(round(used * 1e6))
                with acting_for(None, subject=SUBJECT):
                    await asked("tenants", self._stub.RecordWebhookSecretUses(request, timeout=_CALL_SECONDS))
                for key, used in batch:
                    if self._waiting[key] == used:
                        del self._waiting[key]
        except ServiceFailed as error:
            if not self._away:
                _log.warning("secret_uses_not_told", waiting=len(self._waiting), code=error.code.name)
            self._away = True
        else:
            self._away = False
        secret_uses_waiting.set(len(self._waiting))
