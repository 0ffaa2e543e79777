"""Counts and times every call under the names that gRPC dashboards expect."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

from services.runtime.interceptors.call import Call, Method

if TYPE_CHECKING:
    from grpc import StatusCode

_METHOD = ("grpc_service", "grpc_method", "grpc_type")

_started = Counter("grpc_server_started", "Calls that began.", _METHOD)
_handled = Counter("grpc_server_handled", "Calls that ended, by code.", (*_METHOD, "grpc_code"))
_seconds = Histogram(
    "grpc_server_handling_seconds",
    "How long calls took.",
    _METHOD,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class MetricsConcern:
    def __init__(self) -> None:
        self._methods: dict[str, _MethodMetrics] = {}

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        metrics = self._methods.get(call.method.path)
        if metrics is None:
            metrics = self._methods[call.method.path] = _MethodMetrics(call.method)
        metrics.started.inc()
        try:
            yield
        finally:
            metrics.ended(call)


class _MethodMetrics:
    """The labelled children of one method, looked up once: finding them costs more than counting."""

    def __init__(self, method: Method) -> None:
        self._labels = (method.service, method.name, method.kind)
        self.started = _started.labels(*self._labels)
        self._seconds = _seconds.labels(*self._labels)
        self._handled: dict[StatusCode, Counter] = {}

    def ended(self, call: Call) -> None:
        handled = self._handled.get(call.code)
        if handled is None:
            handled = self._handled[call.code] = _handled.labels(*self._labels, call.code.name)
        handled.inc()
        self._seconds.observe(time.perf_counter() - call.started)
