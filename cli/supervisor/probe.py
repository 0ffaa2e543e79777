"""Asks a process whether it is ready."""

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable

Probe = Callable[[], Awaitable[str | None]]
"""None when ready, else the reason why not."""

_TIMEOUT_SECONDS = 3.0


def http_probe(port: int) -> Probe:
    """Ask `/readyz`. The reason is the process's own account of its failing checks."""

    async def probe() -> str | None:
        return await asyncio.to_thread(_ask, port)

    return probe


def local_probe(ready: Callable[[], bool], *, reason: str) -> Probe:
    """Wrap a quick local check."""

    async def probe() -> str | None:
        return None if await asyncio.to_thread(ready) else reason

    return probe


def _ask(port: int) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read()
    except OSError:
        return "does not answer yet"
    except http.client.HTTPException:
        return "answers, but not in HTTP"
    finally:
        connection.close()
    return None if answer.status == http.client.OK else _reason(body, status=answer.status)


def _reason(body: bytes, *, status: int) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return f"not ready (HTTP {status})"
    checks = answer.get("failing", answer) if isinstance(answer, dict) else answer
    if isinstance(checks, dict):
        return "; ".join(f"{name}: {reason}" for name, reason in checks.items())
    return str(checks)
