"""What surrounds every call that a service answers, in one order with a reason for each place."""

import grpc

from services.runtime.interceptors.call import Concern, Interceptor
from services.runtime.interceptors.caller import CallerConcern
from services.runtime.interceptors.deadline import DeadlineConcern
from services.runtime.interceptors.errors import ErrorsConcern
from services.runtime.interceptors.log import LogConcern
from services.runtime.interceptors.metrics import MetricsConcern
from services.runtime.interceptors.request_id import RequestIdConcern
from services.runtime.interceptors.validation import ValidationConcern
from services.runtime.telemetry import current_tracer
from services.runtime.tokens import TokenVerifier


def server_interceptor(
    *, domain: str, verifier: TokenVerifier, certified: bool
) -> grpc.aio.ServerInterceptor:
    """Surround the calls of a server; `certified` where its clients show certificates."""
    concerns: list[Concern] = [
        RequestIdConcern(),  # before whoever writes it down
        LogConcern(),  # outside errors: sees the final code of every call, cancelled ones too
        MetricsConcern(),  # as log
        ErrorsConcern(domain),  # the one place where an exception becomes a status; the rest raise through it
        DeadlineConcern(),  # before the first work that may take long
        CallerConcern(verifier, certified=certified),  # before a stranger's message is looked at
        ValidationConcern(),  # innermost: handlers see only messages that keep their contract
    ]
    if (tracer := current_tracer()) is not None:
        # Imported here: the package is of no use to a process that exports nothing.
        from services.runtime.interceptors.tracing import TracingConcern  # noqa: PLC0415

        # Outermost: the span lasts as long as the call, and its trace is known before anybody logs.
        concerns.insert(0, TracingConcern(tracer))
    return Interceptor(concerns)
