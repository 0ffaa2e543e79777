"""Reads a webhook.

The administrator writes the tool's template, so three shapes are taken, as JSON or as a form:

- the fields template of existing senders: `{"event", "ticket_id", "subject", "description", …}`;
- the hint, which no text in a ticket can break: `{"event", "ticket_id"}`;
- the API's own object: `{"event", "request": {"id", …}}`.

The tenant is never read from here: it comes with the address and the secret.

Our own note makes the tool send a webhook, too. Mostly the event says so. Where it only says that the ticket
was updated, the note's text may: a field about notes that ends with the marker of a run begun a short while
ago. A ticket that quotes a note, or a template that always carries the last one, must not hide updates for
good; hence the short while, and hence a description that ends so only makes the webhook a hint. A hint is
reread, and content that has not changed tells what cannot be told here.
"""

import json
import re
import time
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Final, NoReturn
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_core import from_json

from ticketing.errors import MalformedWebhook
from ticketing.model import EventKind, Ticket, WebhookEvent, WebhookRequest
from ticketing.plain_text import plain_text
from ticketing.servicedesk_plus.tickets import ticket_of
from ticketing.servicedesk_plus.wire import Id, Moment, Name, Request, Text, Wire, is_finished

_FORM: Final = "application/x-www-form-urlencoded"
_NOT_LETTERS: Final = re.compile(r"[^a-z]+")
_MOST_FORM_FIELDS: Final = 200
_TOP: Final = (1, 1)

# Tried in this order: "note_added" is not an added ticket, and "request_closed_note_added" not a closed one.
_KINDS: Final[tuple[tuple[re.Pattern[str], EventKind], ...]] = (
    (re.compile(r"note|comment|conversation|reply|worklog|time_?entry|task|approval|attachment"), "ignored"),
    (re.compile(r"delet|trash|merg|spam"), "ignored"),
    (re.compile(r"reopen"), "ticket_updated"),
    (re.compile(r"resol|clos|complet|cancel"), "ticket_resolved"),
    (re.compile(r"creat|new|add|open|submit"), "ticket_created"),
    (re.compile(r"updat|edit|chang|modif|assign|pick|escalat|priorit|status"), "ticket_updated"),
)

_ABOUT_NOTES: Final = re.compile(r"note|comment|conversation|reply|worklog", re.IGNORECASE)
_OWN_MARKER: Final = re.compile(r"(?<![\w-])Dossier ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$")
# As long as a run goes on trying. A note that comes later is told by the ticket's unchanged content.
_OWN_NOTE_WITHIN_SECONDS: Final = 900.0
_CLOCKS_DIFFER_SECONDS: Final = 60.0


def _tags(value: object) -> object:
    if isinstance(value, str):
        return tuple(part for part in (tag.strip() for tag in value.split(",")) if part)
    return () if value is None else value


class Template(Wire):
    """The flat fields, under the names existing senders use and those of the tool's own variables."""

    id: Id = Field(validation_alias=AliasChoices("ticket_id", "request_id", "workorderid", "id"))
    display_id: Text = ""
    url: Text = Field(default="", validation_alias=AliasChoices("url", "ticket_url"))
    subject: Text | None = Field(default=None, validation_alias=AliasChoices("subject", "title"))
    description: Text | None = None
    requester: Name = Field(default="", validation_alias=AliasChoices("requester", "requester_name"))
    requester_email: Text = ""
    priority: Name = ""
    category: Name = ""
    site: Name = ""
    organisation: Name = Field(
        default="", validation_alias=AliasChoices("organisation", "organization", "account", "company")
    )
    status: Name = ""
    resolution: Text | None = None
    created: Moment = Field(default=None, validation_alias=AliasChoices("created_at", "created_time"))
    updated: Moment = Field(
        default=None, validation_alias=AliasChoices("updated_at", "last_updated_time", "timestamp")
    )
    tags: Annotated[tuple[Text, ...], BeforeValidator(_tags)] = ()

    def ticket(self) -> Ticket:
        return Ticket(
            id=self.id,
            display_id=self.display_id or self.id,
            url=self.url if self.url and urlsplit(self.url).scheme in {"http", "https"} else "",
            subject=plain_text(self.subject or ""),
            description=plain_text(self.description or ""),
            requester=self.requester,
            requester_email=self.requester_email,
            priority=self.priority,
            category=self.category,
            site=self.site,
            status=self.status,
            resolved=is_finished(self.status),
            resolution=plain_text(self.resolution or "") or None,
            created=self.created,
            updated=self.updated,
            tags=self.tags,
            organisation=self.organisation,
        )


class Envelope(Wire):
    event: Text = Field(default="", validation_alias=AliasChoices("event", "event_type", "operation"))
    delivery_id: Text = ""


def parse_webhook(request: WebhookRequest) -> WebhookEvent:
    body = _object(request)
    try:
        envelope = Envelope.model_validate(body)
        if "request" in body:
            wire = Request.model_validate(body["request"])
            ticket, whole = ticket_of(wire, url=""), {"subject", "description"} <= wire.model_fields_set
        else:
            template = Template.model_validate(body)
            ticket, whole = template.ticket(), None not in {template.subject, template.description}
    except ValidationError as error:
        _refuse(error, within="request" if "request" in body else None)
    kind, reason = _kind(envelope.event, body, ticket)
    if kind == "ticket_updated" and any(map(_is_own_recent, _notes(body))):
        kind, reason = "ignored", "it is about a note of our own"
    # Some templates give the text of what was added as the description.
    mistaken = kind == "ticket_updated" and _begun_seconds_ago(ticket.description) is not None
    return WebhookEvent(
        kind=kind,
        ticket=ticket,
        delivery_id=envelope.delivery_id or None,
        revision=_revision(ticket, request.body),
        is_hint=mistaken or not (whole and ticket.subject),
        reason=reason,
    )


def _kind(event: str, body: dict[str, object], ticket: Ticket) -> tuple[EventKind, str]:
    name = _NOT_LETTERS.sub("_", event.casefold()).strip("_")
    if {"note", "request_note"} & body.keys():
        return "ignored", "it is about a note, perhaps our own"
    found = _remembered_kind(name) if len(name) <= _REMEMBERED_LENGTH else _kind_named(name)
    if found == "ignored":
        return "ignored", f"event {event[:80]!r} is not about the ticket itself"
    if found is None and name:
        return "ignored", f"event {event[:80]!r} is not known; use created, updated or resolved"
    if ticket.resolved:
        return "ticket_resolved", ""
    # A webhook of the tool is set up per event, and the one to set up first is for new tickets.
    return found or "ticket_created", ""


def _notes(body: dict[str, object]) -> Iterator[str]:
    """Yield the texts in fields about notes, however deep; not those of the ticket itself."""
    left: list[tuple[object, bool]] = [(body, False)]
    while left:
        value, about_notes = left.pop()
        if isinstance(value, dict):
            left += ((each, about_notes or bool(_ABOUT_NOTES.search(name))) for name, each in value.items())
        elif isinstance(value, list):
            left += ((each, about_notes) for each in value)
        elif isinstance(value, str) and about_notes:
            yield plain_text(value)


def _begun_seconds_ago(note: str) -> float | None:
    """The age of the run whose marker ends this text; an id of version 7 begins with its milliseconds."""
    # The marker's two words; a whole text is not searched for them.
    marked = _OWN_MARKER.search(" ".join(note.rsplit(maxsplit=2)[-2:]))
    if marked is None or (run := UUID(marked[1])).version != 7:
        return None
    return time.time() - (run.int >> 80) / 1000


def _is_own_recent(note: str) -> bool:
    age = _begun_seconds_ago(note)
    return age is not None and -_CLOCKS_DIFFER_SECONDS <= age <= _OWN_NOTE_WITHIN_SECONDS


def _kind_named(name: str) -> EventKind | None:
    return next((kind for pattern, kind in _KINDS if pattern.search(name)), None)


# A tool's templates use a handful of names; what a sender makes up must not fill the memory.
_remembered_kind: Final = lru_cache(maxsize=128)(_kind_named)
_REMEMBERED_LENGTH: Final = 80


def _revision(ticket: Ticket, body: bytes) -> str:
    if ticket.updated is None:
        return f"body:{sha256(body).hexdigest()[:32]}"
    return f"{int(ticket.updated.timestamp() * 1000)}:{ticket.status.casefold()[:40]}"


def _object(request: WebhookRequest) -> dict[str, object]:
    content_type = ",".join(request.values("content-type")).partition(";")[0].strip().lower()
    # The tool labels a JSON template as a form when its administrator has not chosen a content type.
    if content_type == _FORM and not request.body.lstrip().startswith(b"{"):
        return _form(request.body)
    return _json(request.body)


def _json(body: bytes) -> dict[str, object]:
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError:
        # Slower, and it takes half characters and a byte order mark, or knows what is wrong and where.
        value = _json_as_it_comes(body)
    if not isinstance(value, dict):
        raise MalformedWebhook("the body must be a JSON object", _TOP)
    return value


def _json_as_it_comes(body: bytes) -> object:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = body[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise MalformedWebhook("the body is not UTF-8", (before.count(b"\n") + 1, column)) from None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise MalformedWebhook(f"not JSON: {error.msg}", (error.lineno, error.colno)) from None
    except RecursionError:
        raise MalformedWebhook("not readable: nested too deeply", _TOP) from None
    except ValueError:
        # Python's json knows no position here.
        raise MalformedWebhook("not readable: a number that is too long, or not a number", _TOP) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _form(body: bytes) -> dict[str, object]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FORM_FIELDS,
        )
    except ValueError:
        raise MalformedWebhook("the body is not a form of at most 200 fields in UTF-8") from None
    fields: dict[str, object] = {}
    for name, value in pairs:
        if name in fields:
            raise MalformedWebhook("given twice", field=name)
        fields[name] = value
    match fields:
        case {"input_data": str(data)} | {"payload": str(data)}:
            return _json(data.encode())
        case _:
            return fields


def _refuse(error: ValidationError, *, within: str | None) -> NoReturn:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    path = [str(part) for part in first["loc"]]
    raise MalformedWebhook(first["msg"], field=".".join([within, *path] if within else path)) from None
