"""Tests the connection to a client's ticketing tool, within the client's permits and a bounded time."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from weakref import WeakValueDictionary

import structlog

from egress.connection import Connection
from egress.permits import Permits
from services.runtime.deadline import remaining_seconds
from services.tenants.errors import ToolUnknown
from services.tenants.model import Tenant, TenantId
from services.tenants.telemetry import CONNECTION_TESTS
from ticketing.checks import Finding, Verdict, check_connection
from ticketing.contract import TicketingTool
from ticketing.model import NoteTrial
from ticketing.session import tool_session

_SECONDS: Final = 20.0
_SECONDS_EACH: Final = 8.0
# Whoever takes a client on gets its secrets in the same answer: it must not come too late.
_MARGIN_SECONDS: Final = 2.0

_log = structlog.get_logger(__name__)


class ConnectionTester:
    def __init__(self, tools: Mapping[str, TicketingTool], permits: Permits) -> None:
        self._tools = tools
        self._permits = permits
        self._testing: WeakValueDictionary[TenantId, asyncio.Lock] = WeakValueDictionary()

    async def test(
        self, tenant: Tenant, credentials: Mapping[str, str], *, trial: NoteTrial | None = None
    ) -> Sequence[Finding]:
        """Whatever the tool does, there are findings. Changes nothing there unless there is a trial."""
        tool = self._tools.get(tenant.ticketing.tool)
        if tool is None:
            raise ToolUnknown(tenant.ticketing.tool, self._tools)
        connection = Connection(tenant.ticketing.base_url, credentials, tenant.ticketing.options)
        # One test at a time: a tool is not to be flooded with them.
        turn = self._testing.setdefault(tenant.id, asyncio.Lock())
        async with turn, tool_session(self._permits.guard(tenant.id), _SECONDS_EACH) as http:
            left = remaining_seconds()
            seconds = _SECONDS if left is None else min(_SECONDS, left - _MARGIN_SECONDS)
            findings = await check_connection(
                http, tool, connection, trial=trial, seconds=seconds, seconds_each=_SECONDS_EACH
            )
        verdict = verdict_of(findings)
        CONNECTION_TESTS.labels(verdict.value).inc()
        _log.info(
            "connection_tested",
            tenant_id=tenant.id,
            verdict=verdict.value,
            note_tried=trial is not None,
            failed=[each.check.value for each in findings if each.verdict is Verdict.FAILED],
        )
        return findings


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    verdicts = {each.verdict for each in findings}
    if Verdict.FAILED in verdicts:
        return Verdict.FAILED
    return Verdict.OK if verdicts == {Verdict.OK} else Verdict.UNKNOWN
