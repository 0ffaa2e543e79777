"""The tool's webhook: a template that an administrator has filled in, signed by a script in the tool."""

import hmac
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from cli.standins.servicedesk_plus.desk import Request, ServiceDesk

Event = Literal["ticket_created", "ticket_updated", "ticket_resolved", "note_added"]

_TIMEOUT_SECONDS: Final = 10.0


class WebhookTarget(BaseModel):
    """Where webhooks go. `tenant` is what existing senders say in the body."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    secret: str = Field(repr=False)
    mode: Literal["signed", "static"] = "signed"
    template: Literal["fields", "hint", "request"] = "fields"
    tenant: str = ""
    events: frozenset[Event] = frozenset({"ticket_created", "ticket_resolved"})


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that was sent, and what was answered."""

    event: Event
    ticket_id: str
    status: int
    """0 when nothing answered."""
    body: str


async def announce(desk: "ServiceDesk", request: "Request", event: Event) -> Delivery | None:
    """Send the webhook if there is one for this event."""
    if desk.webhook is None or event not in desk.webhook.events:
        return None
    return await deliver(desk, desk.webhook, request, event)


async def deliver(desk: "ServiceDesk", target: WebhookTarget, request: "Request", event: Event) -> Delivery:
    """Send it once, like the tool, which does not try again."""
    body = json.dumps(_body(desk, target, request, event)).encode()
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as http:
            answer = await http.post(target.url, content=body, headers=_headers(target, body))
    except httpx.HTTPError as error:
        delivery = Delivery(event, request.id, 0, type(error).__name__)
    else:
        delivery = Delivery(event, request.id, answer.status_code, answer.text)
    desk.deliveries.append(delivery)
    return delivery


def _headers(target: WebhookTarget, body: bytes) -> dict[str, str]:
    match target.mode:
        case "signed":
            signature = hmac.new(target.secret.encode(), body, sha256).hexdigest()
            proof = {"X-ServiceDesk-Signature": f"sha256={signature}"}
        case "static":
            proof = {"X-Dossier-Secret": target.secret}
    return {"Content-Type": "application/json", **proof}


def _body(desk: "ServiceDesk", target: WebhookTarget, request: "Request", event: Event) -> dict[str, object]:
    # Here, because the JSON of a request is built from the desk, and the desk knows its webhook.
    from cli.standins.servicedesk_plus.replies import milliseconds, request_json  # noqa: PLC0415

    head: dict[str, object] = {"event": event, "tenant_id": target.tenant}
    match target.template:
        case "hint":
            return head | {"ticket_id": request.id}
        case "request":
            return head | {"request": request_json(request, desk.edition)}
        case "fields":
            return head | {
                "ticket_id": request.id,
                "display_id": request.display_id,
                "subject": request.subject,
                "description": request.description,
                "requester": request.requester,
                "requester_email": request.requester_email,
                "priority": request.priority,
                "category": request.category,
                "site": request.site,
                "status": request.status.name,
                "created_at": milliseconds(request.created),
                "updated_at": milliseconds(request.updated),
            }
