"""What the tool remembers."""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cli.standins.servicedesk_plus.faults import Calls, Faults

Edition = Literal["onprem", "cloud"]
Event = Literal["ticket_created", "ticket_updated", "ticket_resolved", "note_added"]

# The tool keeps neither comments nor anything that runs: a marker hidden in a comment does not survive.
_NOT_KEPT: Final = re.compile(
    r"<!--.*?-->|<(script|style|iframe)\b.*?(</\1\s*>|$)", re.DOTALL | re.IGNORECASE
)
_CLOUD_IDS_FROM: Final = 123_640_000_000_240_000


class StatusKind(NamedTuple):
    id: str
    name: str
    in_progress: bool
    color: str


STATUSES: Final = {
    status.name.lower(): status
    for status in (
        StatusKind("1", "Onhold", in_progress=True, color="#ff9900"),
        StatusKind("2", "Open", in_progress=True, color="#0066ff"),
        StatusKind("3", "Closed", in_progress=False, color="#006600"),
        StatusKind("4", "Resolved", in_progress=False, color="#00ff66"),
        StatusKind("6", "Cancelled", in_progress=False, color="#999999"),
    )
}


class NewRequest(BaseModel):
    """A request to begin with. `description` is HTML; `id` is given by the tool when absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    description: str = ""
    id: str | None = None
    requester: str = ""
    requester_email: str = ""
    priority: str = ""
    category: str = ""
    site: str = ""
    status: str = "Open"
    resolution: str = ""
    created: AwareDatetime | None = None
    resolved: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Note:
    id: str
    description: str
    show_to_requester: bool
    notify_technician: bool
    mark_first_response: bool
    created: datetime


@dataclass(slots=True)
class Request:
    id: str
    display_id: str
    subject: str
    description: str
    requester: str
    requester_email: str
    priority: str
    category: str
    site: str
    status: StatusKind
    resolution: str
    created: datetime
    updated: datetime
    resolved: datetime | None
    notes: list[Note] = field(default_factory=list)


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


class ServiceDesk:
    """One installation of either edition. `authtoken` is the API key, in Cloud the OAuth token."""

    def __init__(
        self,
        requests: Iterable[NewRequest] = (),
        *,
        edition: Edition = "onprem",
        portal: str = "itdesk",
        authtoken: str = "standin-key",
    ) -> None:
        self.edition: Final = edition
        self.portal: Final = portal
        self.authtoken: Final = authtoken
        self.requests: dict[str, Request] = {}
        self.faults = Faults()
        self.calls = Calls()
        self.webhook: WebhookTarget | None = None
        self.deliveries: list[Delivery] = []
        self._ids = 0
        for new in requests:
            self.create(new)

    def create(self, new: NewRequest) -> Request:
        created = new.created or datetime.now(UTC)
        status = STATUSES[new.status.lower()]
        resolved = None if status.in_progress else (new.resolved or created)
        number = new.id or str(self._next_id())
        request = Request(
            id=number if new.id or self.edition == "onprem" else str(_CLOUD_IDS_FROM + int(number)),
            display_id=number,
            subject=new.subject,
            description=kept(new.description),
            requester=new.requester,
            requester_email=new.requester_email,
            priority=new.priority,
            category=new.category,
            site=new.site,
            status=status,
            resolution=kept(new.resolution),
            created=created,
            updated=resolved or created,
            resolved=resolved,
        )
        self.requests[request.id] = request
        return request

    def change_status(self, request: Request, status: StatusKind) -> None:
        request.status = status
        request.resolved = None if status.in_progress else (request.resolved or datetime.now(UTC))
        self.touch(request)

    def touch(self, request: Request) -> None:
        request.updated = datetime.now(UTC)

    def add_note(
        self,
        request: Request,
        *,
        description: str,
        show_to_requester: bool = False,
        notify_technician: bool = False,
        mark_first_response: bool = False,
    ) -> Note:
        note = Note(
            id=str(self._next_id()),
            description=kept(description),
            show_to_requester=show_to_requester,
            notify_technician=notify_technician,
            mark_first_response=mark_first_response,
            created=datetime.now(UTC),
        )
        request.notes.append(note)
        self.touch(request)
        return note

    def _next_id(self) -> int:
        self._ids += 1
        while str(self._ids) in self.requests:
            self._ids += 1
        return self._ids


def new_requests(file: Path) -> list[NewRequest]:
    """Read JSON Lines with plain-text descriptions; what else a line says is not for the tool."""
    lines = (line for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    texts = (NewRequest.model_validate_json(line, extra="ignore") for line in lines)
    return [text.model_copy(update={"description": _as_html(text.description)}) for text in texts]


def _as_html(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def kept(source: str) -> str:
    """Return what the tool keeps of an HTML field."""
    return _NOT_KEPT.sub("", source)
