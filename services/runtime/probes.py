"""Metrics, liveness and readiness over HTTP, on a port of their own."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import orjson
from prometheus_client import REGISTRY, make_wsgi_app

from services.runtime.readiness import Readiness

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_JSON = ("Content-Type", "application/json")


@contextmanager
def probes(host: str, port: int, readiness: Readiness) -> Iterator[int]:
    """Serve `/metrics`, `/healthz` and `/readyz`, and say on which port.

    The event loop accepts and a thread answers: a scrape delays no call, and a loop that hangs stops
    answering `/healthz`, which is what liveness asks.
    """
    server = _Server((host, port), _QuietHandler)
    server.timeout = 0
    server.set_app(_app(readiness))
    loop = asyncio.get_running_loop()
    loop.add_reader(server.fileno(), server.handle_request)
    try:
        yield server.server_port
    finally:
        loop.remove_reader(server.fileno())
        server.server_close()


def _app(readiness: Readiness) -> "Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]":
    metrics = make_wsgi_app(REGISTRY)

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                exposition: Iterable[bytes] = metrics(environ, start_response)
                return exposition
            case "/healthz":
                start_response("200 OK", [_JSON])
                return [b'{"status":"alive"}']
            case "/readyz":
                failing = dict(readiness.failing)
                start_response("503 Service Unavailable" if failing else "200 OK", [_JSON])
                return [orjson.dumps({"status": "not ready" if failing else "ready", "failing": failing})]
            case _:
                start_response("404 Not Found", [_JSON])
                return [b'{"status":"not found"}']

    return app


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    # A scraper that connects and says nothing holds its thread no longer than this.
    timeout = 5

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Probes are not worth a line each."""
