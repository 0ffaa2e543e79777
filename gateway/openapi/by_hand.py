"""What the document says of the routes that no annotation describes, and of what all routes share."""

from collections.abc import Sequence
from typing import Final

from dossier.orchestrator.v1.enhancement_pb2 import Enhancement
from gateway import events, exports, webhooks
from gateway.openapi.schema import Schema, Schemas

_JSON: Final = "application/json"
_TEXT: Final[Schema] = {"type": "string"}
_ERROR: Final[Schema] = {"$ref": "#/components/responses/Error"}

_SECURITY_SCHEMES: Final[dict[str, Schema]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`dsk_…`), or a token from `dossier token --audience gateway`. An "
        "operator's are for no client: the header `X-Dossier-Tenant` names one, or the path does. Without it "
        "the queue's routes are about all clients together, and what is one client's is refused "
        "(`TENANT_REQUIRED`).",
    },
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}

ERROR_SCHEMA: Final[Schema] = {
    "type": "object",
    "required": ["code", "reason", "message", "request_id", "details"],
    "properties": {
        "code": {"type": "string", "description": "The canonical gRPC code.", "examples": ["NOT_FOUND"]},
        "reason": {
            "type": "string",
            "description": "What a program decides by.",
            "examples": ["TICKET_NOT_FOUND"],
        },
        "message": {"type": "string", "description": "What a person reads."},
        "request_id": {"type": "string", "description": "Under which the logs say more."},
        "details": {
            "type": "object",
            "properties": {
                "domain": {
                    "type": "string",
                    "description": "Whose reason it is.",
                    "examples": ["history.dossier"],
                },
                "metadata": {"type": "object", "additionalProperties": _TEXT},
                "fields": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"field": _TEXT, "description": _TEXT}},
                },
                "retry_after_seconds": {"type": "integer", "minimum": 1},
            },
        },
    },
}
ERROR_RESPONSE: Final[Schema] = {
    "description": "It failed; `code`, `reason` and `message` say why.",
    "headers": {
        "Retry-After": {
            "description": "With 429, 503 and 504: after how many seconds to send it again.",
            "schema": {"type": "integer", "minimum": 1},
        }
    },
    "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
}


def hand_written_paths(schemas: Schemas, *, aliases: Sequence[str]) -> dict[str, dict[str, object]]:
    schemas.message(Enhancement.DESCRIPTOR)
    schemas.components["WebhookAnswer"] = _WEBHOOK_ANSWER
    by_address = [_in_path("tenant", "The client's id."), _in_path("tool", "The adapter's name.")]
    by_alias = [_in_path("alias", "How the sender is known.", {"type": "string", "enum": list(aliases)})]
    return {
        webhooks.PATH: {"post": _webhook("ReceiveWebhook", by_address, "")},
        webhooks.ALIAS_PATH: {
            "post": _webhook("ReceiveAliasedWebhook", by_alias, "The body names the client in `tenant_id`. ")
        },
        events.PATH: {"get": _EVENTS},
        exports.PATH: {"get": _EXPORT},
        "/healthz": {"get": _open("Alive", "Whether the process answers.", {"status": _TEXT})},
        "/readyz": {
            "get": _open(
                "Ready",
                "Whether webhooks can be taken, and how every service is.",
                {"status": _TEXT, "failing": {"type": "object"}, "services": {"type": "object"}},
                otherwise="503",
            )
        },
        "/openapi.json": {"get": _open("Describe", "This document.", {})},
    }


def security_schemes(issuer: str | None) -> dict[str, Schema]:
    """Name what opens the API; any one of them does."""
    if issuer is None:
        return dict(_SECURITY_SCHEMES)
    sign_on: Schema = {
        "type": "openIdConnect",
        "openIdConnectUrl": f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        "description": "A token of the operator's identity provider, as `Authorization: Bearer`. Groups give "
        "roles. Who has roles for several clients names one in `X-Dossier-Tenant`.",
    }
    return {**_SECURITY_SCHEMES, "oidc": sign_on}


_WEBHOOK_ANSWER: Final[Schema] = {
    "type": "object",
    "required": ["state"],
    "properties": {
        "state": {"type": "string", "enum": ["queued", "known", "ignored"]},
        "enhancement_id": {"type": "string", "description": "Absent when the event is ignored."},
        "status_url": {"type": "string", "description": "Where the enhancement is read."},
        "reason": {"type": "string", "description": "Why the event is ignored."},
        "secret_id": {
            "type": "string",
            "description": "The webhook secret that it was signed with, as `webhookSecrets` lists it. Absent "
            "when the event is ignored.",
        },
    },
}

_EVENTS: Final[Schema] = {
    "operationId": "WatchEnhancement",
    "tags": ["orchestrator"],
    "summary": "Follow an enhancement",
    "description": "Server-sent events: `enhancement` with the enhancement as it is now and at every "
    "change, `end` when it has ended, `error` when it cannot be followed any further.\n\n"
    "Needs the role `viewer`.",
    "parameters": [
        {"name": "enhancement_id", "in": "path", "required": True, "schema": _TEXT},
    ],
    "responses": {
        "200": {"description": "The events.", "content": {"text/event-stream": {"schema": _TEXT}}},
        "default": _ERROR,
    },
}


_EXPORT: Final[Schema] = {
    "operationId": "ExportTenant",
    "tags": ["tenants"],
    "summary": "Export everything that is kept of a client",
    "description": "A ZIP archive with one file of JSON Lines a table and, last, `manifest.json` with each "
    "file's rows and SHA-256 and what was left out, and why. Secrets are never in it. One that ends sooner "
    "is not whole.\n\nNeeds the role `admin`.",
    "parameters": [{"name": "tenant_id", "in": "path", "required": True, "schema": _TEXT}],
    "responses": {
        "200": {
            "description": "The archive.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        "default": _ERROR,
    },
}


def _in_path(name: str, description: str, schema: Schema = _TEXT) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _webhook(operation: str, parameters: list[Schema], about: str) -> Schema:
    answer = {_JSON: {"schema": {"$ref": "#/components/schemas/WebhookAnswer"}}}
    return {
        "operationId": operation,
        "tags": ["webhooks"],
        "summary": "Receive a ticketing tool's webhook",
        "description": f"{about}The tool's signature over the raw body is the authentication. A wrong "
        "signature, an unknown client and an unknown tool get the same answer.",
        "security": [],
        "parameters": parameters,
        "requestBody": {"required": True, "content": {_JSON: {"schema": {"type": "object"}}}},
        "responses": {
            "202": {"description": "Kept: a brief will be written.", "content": answer},
            "200": {"description": "Known already, or nothing to do.", "content": answer},
            "default": _ERROR,
        },
    }


def _open(operation: str, summary: str, properties: Schema, otherwise: str | None = None) -> Schema:
    answer = {
        "description": summary,
        "content": {_JSON: {"schema": {"type": "object", "properties": properties}}},
    }
    responses = {"200": answer, **({otherwise: answer} if otherwise else {})}
    return {
        "operationId": operation,
        "tags": ["gateway"],
        "summary": summary,
        "security": [],
        "responses": responses,
    }
