"""`/_standin/…`: what a demo or a test does to the tool from outside."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cli.standins.servicedesk_plus.desk import (
    Delivery,
    Event,
    NewRequest,
    Request,
    ServiceDesk,
    WebhookTarget,
)
from cli.standins.servicedesk_plus.faults import Fault
from cli.standins.servicedesk_plus.pages import Pages
from cli.standins.servicedesk_plus.replies import note_json, request_json
from cli.standins.servicedesk_plus.webhooks import announce, deliver

M = TypeVar("M", bound=BaseModel)


class _Send(BaseModel):
    model_config = ConfigDict(extra="forbid")

    event: Event = "ticket_created"


class Controls:
    def __init__(self, desk: ServiceDesk, pages: Pages) -> None:
        self.desk = desk
        self.pages = pages

    def routes(self) -> list[Route]:
        return [
            Route("/_standin/health", self.health, methods=["GET"]),
            Route("/_standin/requests", self.list_requests, methods=["GET"]),
            Route("/_standin/requests", self.create_request, methods=["POST"]),
            Route("/_standin/requests/{id}/notes", self.list_notes, methods=["GET"]),
            Route("/_standin/requests/{id}/webhook", self.send_webhook, methods=["POST"]),
            Route("/_standin/webhook", self.set_webhook, methods=["POST"]),
            Route("/_standin/faults", self.inject, methods=["POST"]),
            Route("/_standin/calls", self.list_calls, methods=["GET"]),
            Route("/_standin/reset", self.reset, methods=["POST"]),
        ]

    async def health(self, _: HttpRequest) -> Response:
        return JSONResponse({"ok": True, "edition": self.desk.edition, "requests": len(self.desk.requests)})

    async def list_requests(self, _: HttpRequest) -> Response:
        return JSONResponse({"requests": [self._summary(request) for request in self.desk.requests.values()]})

    async def create_request(self, http: HttpRequest) -> Response:
        """Create a request as a caller of the help desk would, and wait for the webhook to be answered."""
        new = await _body(http, NewRequest)
        if isinstance(new, Response):
            return new
        request = self.desk.create(new)
        delivery = await announce(self.desk, request, "ticket_created")
        return JSONResponse({**self._summary(request), "delivery": _delivery(delivery)}, 201)

    async def list_notes(self, http: HttpRequest) -> Response:
        request = self.desk.requests.get(http.path_params["id"])
        if request is None:
            return _refused(404, "no such request")
        notes = [note_json(note, request) for note in request.notes]
        return JSONResponse({"count": len(notes), "notes": notes})

    async def send_webhook(self, http: HttpRequest) -> Response:
        """Send the webhook of a request, again if it was sent before."""
        request, send = self.desk.requests.get(http.path_params["id"]), await _body(http, _Send)
        if isinstance(send, Response):
            return send
        if request is None or self.desk.webhook is None:
            return _refused(404, "no such request" if request is None else "no webhook is set")
        return JSONResponse(_delivery(await deliver(self.desk, self.desk.webhook, request, send.event)))

    async def set_webhook(self, http: HttpRequest) -> Response:
        target = await _body(http, WebhookTarget)
        if isinstance(target, Response):
            return target
        self.desk.webhook = target
        return JSONResponse({"url": target.url, "events": sorted(target.events)})

    async def inject(self, http: HttpRequest) -> Response:
        fault = await _body(http, Fault)
        if isinstance(fault, Response):
            return fault
        self.desk.faults.inject(fault)
        return JSONResponse({"waiting": self.desk.faults.waiting})

    async def list_calls(self, _: HttpRequest) -> Response:
        calls = [
            {"method": call.method, "path": call.path, "input_data": call.input_data, "status": call.status}
            for call in self.desk.calls
        ]
        deliveries = [_delivery(delivery) for delivery in self.desk.deliveries]
        return JSONResponse({"count": len(calls), "calls": calls, "deliveries": deliveries})

    async def reset(self, _: HttpRequest) -> Response:
        """Forget faults, calls and deliveries; requests and notes stay."""
        self.desk.faults.clear()
        self.desk.calls.clear()
        self.desk.deliveries.clear()
        return JSONResponse({"ok": True})

    def _summary(self, request: Request) -> dict[str, object]:
        return {
            "request": request_json(request, self.desk.edition),
            "notes": len(request.notes),
            "page": self.pages.address(request),
        }


async def _body(http: HttpRequest, model: type[M]) -> M | Response:
    try:
        return model.model_validate_json(await http.body() or b"{}")
    except ValidationError as error:
        return _refused(400, str(error.errors(include_input=False, include_url=False, include_context=False)))


def _delivery(delivery: Delivery | None) -> dict[str, object] | None:
    if delivery is None:
        return None
    return {
        "event": delivery.event,
        "ticket_id": delivery.ticket_id,
        "status": delivery.status,
        "body": delivery.body,
    }


def _refused(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)
