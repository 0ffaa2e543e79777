"""What Dossier knows of a ticket, whichever tool it came from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Self

EventKind = Literal["ticket_created", "ticket_updated", "ticket_resolved", "ignored"]


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket in neutral terms. Absent texts are empty; `description` and `resolution` are plain text."""

    id: str
    """The id the tool's API takes."""
    display_id: str
    """The number people say; often the same as `id`."""
    url: str = ""
    """The ticket's page for a person. Empty when a webhook did not say it: reading the ticket gives it."""
    subject: str = ""
    description: str = ""
    requester: str = ""
    requester_email: str = ""
    priority: str = ""
    category: str = ""
    site: str = ""
    status: str = ""
    resolved: bool = False
    resolution: str | None = None
    created: datetime | None = None
    updated: datetime | None = None
    tags: tuple[str, ...] = ()
    organisation: str = ""
    """The requester's, by the tool's own word for it; empty where the tool knows none."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a verified webhook says happened."""

    kind: EventKind
    ticket: Ticket
    delivery_id: str | None
    """The sender's id of this delivery, the same when it is sent again. Many tools have none."""
    revision: str
    """The same for two webhooks about the same state of the ticket, different for another state."""
    is_hint: bool
    """The webhook does not carry the whole ticket: read it by API before using it."""
    reason: str = ""
    """Why an event is ignored, in words for an administrator."""


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A webhook as it came: `headers` by lower-cased name with every value, `body` untouched."""

    headers: Mapping[str, tuple[str, ...]]
    body: bytes

    @classmethod
    def received(cls, headers: Iterable[tuple[str, str]], body: bytes) -> Self:
        by_name: dict[str, tuple[str, ...]] = {}
        for name, value in headers:
            key = name.lower()
            earlier = by_name.get(key)
            by_name[key] = (value,) if earlier is None else (*earlier, value)
        return cls(by_name, body)

    def values(self, name: str) -> tuple[str, ...]:
        return self.headers.get(name.lower(), ())


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """One live secret. Two are live while a secret is rotated."""

    id: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoteTrial:
    """Where it may be tried out whether notes can be added."""

    ticket_id: str
    marker: str
    """Stands in the note, so that the same trial adds it once."""


@dataclass(frozen=True, slots=True)
class PostedNote:
    id: str
    url: str
    """Where a person sees the note in the tool."""
