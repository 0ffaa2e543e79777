"""The tool's webhook: a template that an administrator has filled in, signed by a script in the tool."""

import hmac
import json
from hashlib import sha256
from typing import Final

import httpx

from cli.standins.servicedesk_plus.desk import Delivery, Event, Request, ServiceDesk, WebhookTarget
from cli.standins.servicedesk_plus.replies import milliseconds, request_json

_TIMEOUT_SECONDS: Final = 10.0


async def announce(desk: ServiceDesk, request: Request, event: Event) -> Delivery | None:
    """Send the webhook if there is one for this event."""
    if desk.webhook is None or event not in desk.webhook.events:
        return None
    return await deliver(desk, desk.webhook, request, event)


async def deliver(desk: ServiceDesk, target: WebhookTarget, request: Request, event: Event) -> Delivery:
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
    content = {"Content-Type": "application/json"}
    match target.mode:
        case "signed":
            signature = hmac.new(target.secret.encode(), body, sha256).hexdigest()
            return content | {"X-ServiceDesk-Signature": f"sha256={signature}"}
        case "static":
            return content | {"X-Dossier-Secret": target.secret}


def _body(desk: ServiceDesk, target: WebhookTarget, request: Request, event: Event) -> dict[str, object]:
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
