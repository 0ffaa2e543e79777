"""Webhooks: the signature first, over the raw body; nothing else is believed, or kept, before it holds."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_bytes
from typing import Final
from urllib.parse import unquote

import orjson
from starlette.types import Receive, Scope, Send

from gateway.asgi import ROUTE, read_body, send_json
from gateway.errors import FieldInvalid, JsonMalformed, MethodNotAllowed, RouteNotFound
from gateway.failures import FailedAttempts
from gateway.intake import Intake
from gateway.limits import Limits
from gateway.secret_uses import SecretUses
from gateway.submission import submission_of
from gateway.telemetry import webhooks_with, webhooks_with_older_secret
from gateway.webhook_secrets import NOBODY, SecretCache
from services.runtime.errors import InvalidArgument, Unauthenticated
from ticketing.contract import TicketingTool
from ticketing.errors import MalformedWebhook
from ticketing.model import WebhookEvent, WebhookRequest, WebhookSecret

PATH: Final = "/webhooks/{tenant}/{tool}"
ALIAS_PATH: Final = "/webhook/{alias}"

# The secrets of a busy client are at hand, those of nobody have to be asked for; nobody outside is to see it.
_REFUSED_AFTER_SECONDS: Final = 0.1
_ASKED_FOR_THE_BLOCKED_SECONDS: Final = 10.0
# While one replaces the other.
_MOST_SECRETS: Final = 2

_TENANT: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TENANT_IN_BODY: Final = re.compile(rb'"tenant_id"\s*:\s*"([a-z0-9-]{1,63})"')


class WebhookRefused(Unauthenticated):
    """The one answer to a wrong signature, an unknown client and an unknown tool."""

    reason = "WEBHOOK_REFUSED"


@dataclass(frozen=True, slots=True)
class _Sender:
    """Whom a webhook says it is from; nothing of it is proven."""

    tenant: str
    tool: str


class Webhooks:
    """An ASGI application of its own: this is the hot path, and a router's share of it can be measured."""

    def __init__(
        self,
        tools: Mapping[str, TicketingTool],
        secrets: SecretCache,
        intake: Intake,
        *,
        uses: SecretUses,
        failures: FailedAttempts,
        limits: Limits,
        aliases: Mapping[str, str],
        body_limit: int,
        body_seconds: float,
        public_url: str,
    ) -> None:
        self._tools = tools
        self._secrets = secrets
        self._intake = intake
        self._uses = uses
        self._failures = failures
        self._limits = limits
        self._aliases = aliases
        self._body_limit = body_limit
        self._body_seconds = body_seconds
        self._public_url = public_url
        # Verified against where there is less to verify against, so that this takes as long.
        self._dummies = tuple(WebhookSecret("", token_bytes(32)) for _ in range(_MOST_SECRETS))
        self._any_tool = next(iter(tools.values()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = self._address(scope)
        if scope["method"] != "POST":
            raise MethodNotAllowed(scope["method"], ["POST"])
        body = await read_body(scope, receive, limit=self._body_limit, seconds=self._body_seconds)
        sender = (
            address if isinstance(address, _Sender) else _Sender(_tenant_in(body), self._aliases[address])
        )
        request = WebhookRequest.received(
            ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]), body
        )
        tool, secret_id = await self._verified(sender, request, scope)
        await self._limits.webhook(scope, tenant=sender.tenant, size=len(body))
        await self._take(_parsed(tool, request), sender, secret_id, send=send)

    def _address(self, scope: Scope) -> "_Sender | str":
        """Whom the address names: a sender, or an alias, whose tenant is in the body."""
        match scope["raw_path"].decode("latin-1").split("/"):
            case ["", "webhooks", tenant, tool]:
                scope[ROUTE] = PATH
                return _Sender(unquote(tenant), unquote(tool))
            case ["", "webhook", alias] if alias in self._aliases:
                scope[ROUTE] = ALIAS_PATH
                return str(alias)
            case _:
                raise RouteNotFound("there is nothing at this address")

    async def _verified(
        self, sender: _Sender, request: WebhookRequest, scope: Scope
    ) -> tuple[TicketingTool, str]:
        """Give the sender's tool, and the id of the secret that proved it."""
        started = time.monotonic()
        tool = self._tools.get(sender.tool)
        key = (
            sender.tenant if _TENANT.fullmatch(sender.tenant) else NOBODY,
            NOBODY if tool is None else sender.tool,
        )
        blocked = self._failures.blocked(scope)
        # For an address that is blocked, nothing is asked but for who holds what was known last. Whether that
        # has been replaced is asked now and then, but not waited for: who is known must not show by it.
        if blocked is None or self._matching(request, tool, self._secrets.last(key)) is not None:
            secrets = await self._secrets.get(key)
            matching = self._matching(request, tool, secrets)
            if matching is not None and tool is not None:
                self._uses.note(sender.tenant, matching)
                if matching != secrets[0].id:
                    webhooks_with_older_secret.inc()
                return tool, matching
        elif self._secrets.is_overdue(key, seconds=_ASKED_FOR_THE_BLOCKED_SECONDS):
            self._secrets.renew(key)
        webhooks_with("refused").inc()
        if blocked is None:
            await self._failures.count(scope)
        await asyncio.sleep(started + _REFUSED_AFTER_SECONDS - time.monotonic())
        if blocked is not None:
            raise blocked
        raise WebhookRefused("the webhook's signature does not fit its address")

    def _matching(
        self, request: WebhookRequest, tool: TicketingTool | None, secrets: Sequence[WebhookSecret] | None
    ) -> str | None:
        """The id of the secret that fits. What fits none has been compared equally often, whoever sent it."""
        verifies = tool or self._any_tool
        known = secrets or ()
        if known and (matching := verifies.verify(request, known)) is not None:
            return matching
        if dummies := self._dummies[len(known) :]:
            verifies.verify(request, dummies)
        return None

    async def _take(self, event: WebhookEvent, sender: _Sender, secret_id: str, *, send: Send) -> None:
        if event.kind == "ignored":
            webhooks_with("ignored").inc()
            await send_json(send, 200, {"state": "ignored", "reason": event.reason})
            return
        result = await self._intake.submit(submission_of(event, tenant=sender.tenant, tool=sender.tool))
        webhooks_with("accepted" if result.created else "known").inc()
        answer = {
            "enhancement_id": result.enhancement_id,
            "state": "queued" if result.created else "known",
            "status_url": f"{self._public_url}/v1/enhancements/{result.enhancement_id}",
            "secret_id": secret_id,
        }
        await send_json(send, 202 if result.created else 200, answer)


def _parsed(tool: TicketingTool, request: WebhookRequest) -> WebhookEvent:
    try:
        return tool.parse(request)
    except MalformedWebhook as error:
        webhooks_with("malformed").inc()
        if error.position is not None:
            line, column = error.position
            raise JsonMalformed(error.message, line=line, column=column) from None
        if error.field is not None:
            raise FieldInvalid(error.field, error.message) from None
        raise InvalidArgument(error.message) from None


def _tenant_in(body: bytes) -> str:
    """Peek at whom an unverified body claims to be from, only to know which secrets to try."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        # Its sender may still prove to be who it is, and then learns where the JSON is broken.
        found = _TENANT_IN_BODY.search(body)
        return found[1].decode() if found else NOBODY
    tenant = content.get("tenant_id") if isinstance(content, dict) else None
    return tenant if isinstance(tenant, str) else NOBODY
