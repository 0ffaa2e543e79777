"""Every route of the gateway, in one ASGI application."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import docs, events, exports
from gateway.admission import Admission
from gateway.asgi import ROUTE
from gateway.believed import Believed
from gateway.counts import SharedCounts
from gateway.edge import Edge
from gateway.errors import MethodNotAllowed, RouteNotFound
from gateway.events import Events
from gateway.exports import Exports
from gateway.failures import FailedAttempts
from gateway.health import MeshHealth
from gateway.imports.lines import BodyLimits
from gateway.imports.route import ImportLimits, ImportRoute
from gateway.intake import Intake
from gateway.limits import Limits
from gateway.mesh import CONTRACTS, Mesh
from gateway.openapi.comments import packaged_comments
from gateway.openapi.document import openapi_document
from gateway.secret_uses import SecretUses
from gateway.settings import GatewaySettings
from gateway.transcode.bindings import Binding, bindings
from gateway.transcode.routes import BoundRoute, RestLimits, RpcRoute
from gateway.usage import GET_USAGE, UsageRoute
from gateway.webhooks import Webhooks
from services.runtime.readiness import Readiness
from ticketing.discovery import load_tools

Endpoint = Callable[[Request], Awaitable[Response]]


class Routes:
    """The first route that matches; where only methods differ, the caller learns which there are."""

    def __init__(self, routes: Sequence[BoundRoute | Route]) -> None:
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed: set[str] = set()
        for route in self.routes:
            match, found = route.matches(scope)
            if match is Match.NONE:
                continue
            scope[ROUTE] = route.path
            if match is Match.FULL:
                scope.update(found)
                await route.handle(scope, receive, send)
                return
            allowed |= route.methods or set()
        if allowed:
            raise MethodNotAllowed(scope["method"], allowed)
        raise RouteNotFound("there is nothing at this address")


def application(
    settings: GatewaySettings,
    mesh: Mesh,
    intake: Intake,
    *,
    uses: SecretUses,
    believed: Believed,
    counts: SharedCounts | None,
    health: MeshHealth,
    readiness: Readiness,
    draining: asyncio.Event,
) -> ASGIApp:
    tools = load_tools()
    failures = FailedAttempts(settings.address_failures_per_minute, counts)
    limits = Limits(settings, believed.limits, counts)
    callers = Admission(believed.authenticator, believed.clients, failures, limits)
    public_url = str(settings.public_url or "").rstrip("/")
    webhooks = Webhooks(
        tools,
        believed.secrets,
        intake,
        uses=uses,
        failures=failures,
        limits=limits,
        aliases=settings.webhook_aliases,
        body_limit=settings.body_limit_bytes,
        body_seconds=settings.body_seconds,
        public_url=public_url,
    )
    watching = Events(
        mesh.channels["orchestrator"],
        callers,
        draining=draining,
        heartbeat_seconds=settings.events_heartbeat_seconds,
        confirm_seconds=settings.events_confirm_seconds,
        seconds=settings.events_seconds,
        body_seconds=settings.body_seconds,
    )
    rest = bindings(CONTRACTS)
    document = openapi_document(
        rest,
        comments=packaged_comments(),
        aliases=sorted(settings.webhook_aliases),
        public_url=public_url,
        issuer=settings.oidc_issuer,
    )
    others = Routes(
        [
            *_of_rpcs(rest, mesh, callers, settings),
            Route(events.PATH, watching, methods=["GET"]),
            Route(
                exports.PATH,
                Exports(
                    mesh.channels["tenants"],
                    callers,
                    confirm_seconds=settings.events_confirm_seconds,
                    body_seconds=settings.body_seconds,
                ),
                methods=["GET"],
            ),
            Route("/openapi.json", _constant(document)),
            Route("/healthz", _constant({"status": "alive"})),
            Route("/readyz", _readyz(health, readiness)),
            Route(docs.PAGE_PATH, docs.page),
            Route(docs.ASSET_PATH, docs.asset),
        ]
    )

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        await (webhooks if scope["path"].startswith("/webhook") else others)(scope, receive, send)

    return Edge(dispatch, access_log=settings.access_log)


def _of_rpcs(
    rest: Sequence[Binding], mesh: Mesh, callers: Admission, settings: GatewaySettings
) -> Iterator[BoundRoute]:
    limits = RestLimits(settings.body_limit_bytes, settings.body_seconds, settings.request_seconds)
    import_limits = ImportLimits(
        BodyLimits(
            settings.import_line_bytes,
            settings.import_body_bytes,
            stall_seconds=settings.import_stall_seconds,
        ),
        settings.import_seconds,
    )
    rows = {binding.body_type for binding in rest if binding.is_import}
    for binding in rest:
        if binding.is_import:
            yield ImportRoute(binding, mesh, callers, import_limits)
        elif binding.method.full_name == GET_USAGE:
            yield UsageRoute(binding, mesh, callers, limits)
        else:
            yield RpcRoute(binding, mesh, callers, limits, is_row=binding.body_type in rows)


def _constant(content: object) -> Endpoint:
    body = orjson.dumps(content)

    async def endpoint(_request: Request) -> Response:
        return Response(body, media_type="application/json")

    return endpoint


def _readyz(health: MeshHealth, readiness: Readiness) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        failing = dict(readiness.failing)
        content = {
            "status": "not ready" if failing else "ready",
            "failing": failing,
            "services": {name: service.as_json() for name, service in health.services.items()},
        }
        return Response(orjson.dumps(content), 503 if failing else 200, media_type="application/json")

    return endpoint
