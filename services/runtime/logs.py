"""Structured logs: JSON lines for machines, readable ones on a terminal, ours and the libraries' alike."""

import logging
import sys
import time
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import structlog
from opentelemetry import trace

from services.runtime.caller import caller_or_none
from services.runtime.json_text import json_text
from services.runtime.masking import masked_line
from services.runtime.request_id import current_request_id

_Event = MutableMapping[str, object]


def configure(*, format: Literal["auto", "json", "console"], level: str, service: str) -> None:  # noqa: A002
    """Send every log line of this process to standard output in one shape."""
    readable = format == "console" or (format == "auto" and sys.stdout.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Named(service),
        add_context,
        structlog.processors.StackInfoRenderer(),
    ]
    rendered: list[structlog.typing.Processor] = (
        # The plain traceback: the default one prints local variables, and tokens are among them.
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if readable
        else [structlog.processors.format_exc_info, render_json]
    )
    structlog.configure(
        processors=[*shared, *rendered] if readable else [_JsonLine(service)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_names: _Lines(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        _Redacting(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # These two announce every request they make.
    for chatty in ("httpx2", "httpcore2"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


def add_context(_logger: object, _method: str, event: _Event) -> _Event:
    """Add the ids of the call at hand, read only when a line is really written."""
    if (request_id := current_request_id()) is not None:
        event.setdefault("request_id", request_id)
    if (caller := caller_or_none()) is not None and caller.tenant is not None:
        event.setdefault("tenant", caller.tenant)
    if (span := trace.get_current_span().get_span_context()).is_valid:
        event.setdefault("trace_id", trace.format_trace_id(span.trace_id))
    return event


def render_json(_logger: object, _method: str, event: _Event) -> str:
    return json_text(event)


class _Lines:
    """Writes our own lines: by way of `logging` each costs several times as much, and every call has one."""

    def msg(self, line: str) -> None:
        # As `logging` has it: what cannot be written must not undo what it tells of.
        with suppress(OSError, ValueError):
            sys.stdout.write(f"{masked_line(line)}\n")
            sys.stdout.flush()

    debug = info = warning = error = critical = msg


class _Redacting(structlog.stdlib.ProcessorFormatter):
    """Formats as told and redacts what came out, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return masked_line(super().format(record))


class _JsonLine:
    """The chain of processors in one, for our own lines: every call has one, and the chain costs thrice."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._stack = structlog.processors.StackInfoRenderer()

    def __call__(self, logger: object, method: str, event: _Event) -> str:
        event["level"] = method
        event["timestamp"] = _timestamp()
        event["service"] = self._service
        add_context(logger, method, event)
        if "stack_info" in event or "exc_info" in event:
            self._stack(logger, method, event)
            structlog.processors.format_exc_info(logger, method, event)
        return render_json(logger, method, event)


def _timestamp() -> str:
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_whole_second(seconds)}.{microseconds:06}Z"


@lru_cache(maxsize=1)
def _whole_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class _Named:
    """Says which service wrote the line, for logs that several share."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: object, _method: str, event: _Event) -> _Event:
        event["service"] = self._service
        return event
