"""Whether the service can do its work, asked every second and told to health checks and probes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog
from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckResponse

Check = Callable[[], Awaitable[None]]

_EVERY_SECONDS: Final = 1.0
_LIMIT_SECONDS: Final = 2.0

_log = structlog.get_logger(__name__)


class Readiness:
    """`failing` says which checks fail and why; it is empty when the service is ready."""

    def __init__(self, checks: Mapping[str, Check], service_names: Sequence[str]) -> None:
        self._checks = checks
        self._names = ("", *service_names)
        self._draining = False
        self.failing: Mapping[str, str] = {"service": "is starting"}
        self.health = health.aio.HealthServicer()

    async def begin(self) -> None:
        """Not serving until the checks pass: the stock servicer would say otherwise."""
        await self._tell(HealthCheckResponse.NOT_SERVING)

    async def watch(self) -> None:
        """Ask the checks again and again, until cancelled."""
        while True:
            await self._ask()
            await asyncio.sleep(_EVERY_SECONDS)

    async def drain(self) -> None:
        """Not ready any more, whatever the checks say."""
        self._draining = True
        self.failing = {"service": "is draining"}
        await self.health.enter_graceful_shutdown()

    async def _ask(self) -> None:
        reasons = await asyncio.gather(*(_reason(check) for check in self._checks.values()))
        failing = {name: reason for name, reason in zip(self._checks, reasons, strict=True) if reason}
        if self._draining or failing == self.failing:
            return
        self.failing = failing
        if failing:
            _log.warning("service_not_ready", failing=failing)
        else:
            _log.info("service_ready")
        await self._tell(HealthCheckResponse.NOT_SERVING if failing else HealthCheckResponse.SERVING)

    async def _tell(self, status: int) -> None:
        for name in self._names:
            await self.health.set(name, status)


async def _reason(check: Check) -> str | None:
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            await check()
    except TimeoutError:
        return f"no answer within {_LIMIT_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - a check says no by raising, whatever it raises
        return str(error) or type(error).__name__
    return None
