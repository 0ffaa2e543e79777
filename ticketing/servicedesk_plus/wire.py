"""The tool's JSON: lenient about what is absent, strict about the shape of what Dossier relies on."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

_DIGITS: Final = re.compile(r"-?\d{1,15}")
TICKET_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
"""Cloud ids are 15 to 18 digits, on-premises ids short, existing senders say TKT-001. Safe in a path."""

_FINISHED_STATUSES: Final = frozenset({"resolved", "closed", "completed", "cancelled", "canceled"})


def _text(value: object) -> object:
    """Mend what neither PostgreSQL nor protobuf takes: NUL, and half of a character that a template cut."""
    if value is None:
        return ""
    if not isinstance(value, str) or value.isprintable():
        return value
    return value.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _id(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _name(value: object) -> object:
    """Take `{"name": …}`, as the API has it, and the bare name of a template."""
    return _text(value.get("name") if isinstance(value, dict) else value)


def _moment(value: object) -> object:
    """Read epoch milliseconds, as text or in `{"value": …}`, or ISO 8601; localised times are dropped."""
    if isinstance(value, dict):
        value = value.get("value")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    try:
        if _DIGITS.fullmatch(value):
            return datetime.fromtimestamp(int(value) / 1000, UTC)
        moment = datetime.fromisoformat(value)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Text = Annotated[str, BeforeValidator(_text)]
Name = Annotated[str, BeforeValidator(_name)]
Id = Annotated[str, BeforeValidator(_id), Field(pattern=TICKET_ID)]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Requester(Wire):
    name: Text = ""
    email_id: Text = ""


class Status(Wire):
    name: Text = ""
    internal_name: Text = ""
    in_progress: bool | None = None


class Resolution(Wire):
    content: Text = ""


class Tag(Wire):
    name: Text = ""


class Request(Wire):
    """A ticket: "request" is the tool's word."""

    id: Id
    display_id: Annotated[Text, BeforeValidator(_id)] = ""
    subject: Text = ""
    description: Text = ""
    requester: Requester | None = None
    priority: Name = ""
    category: Name = ""
    site: Name = ""
    # The provider's edition (MSP) has it: the customer.
    account: Name = ""
    status: Status | None = None
    resolution: Resolution | None = None
    tags: tuple[Tag, ...] | None = None
    created_time: Moment = None
    last_updated_time: Moment = None
    resolved_time: Moment = None
    completed_time: Moment = None

    @property
    def resolved(self) -> bool:
        """Whether work has ended: names are localised, so last; a reopened request still has its times."""
        if self.status is not None and self.status.in_progress is not None:
            return not self.status.in_progress
        if self.resolved_time is not None or self.completed_time is not None:
            return True
        return self.status is not None and is_finished(self.status.internal_name or self.status.name)


def is_finished(status: str) -> bool:
    return status.strip().casefold() in _FINISHED_STATUSES


class StatusMessage(Wire):
    message: Text = ""
    field: Text = ""
    fields: tuple[str, ...] = ()
    status_code: int | None = None


class ResponseStatus(Wire):
    status_code: int | None = None
    status: Text = ""
    messages: tuple[StatusMessage, ...] = ()

    @property
    def code(self) -> int | None:
        """The failure's own code: some editions put it only in the message and 4000 outside."""
        inner = next((m.status_code for m in self.messages if m.status_code is not None), None)
        return inner if self.status_code in {None, 4000} else self.status_code

    @property
    def succeeded(self) -> bool:
        return self.status == "success" if self.status else self.status_code in {200, 2000}


class Reply(Wire):
    """What every reply carries: an object for one thing, an array for a list."""

    response_status: ResponseStatus | tuple[ResponseStatus, ...] | None = None

    @property
    def outcome(self) -> ResponseStatus | None:
        if isinstance(self.response_status, tuple):
            failed = (status for status in self.response_status if not status.succeeded)
            return next(failed, self.response_status[0] if self.response_status else None)
        return self.response_status


class ListInfo(Wire):
    has_more_rows: bool = False


class RequestReply(Reply):
    request: Request


class ResolutionReply(Reply):
    resolution: Resolution | None = None


class RequestList(Reply):
    requests: tuple[Request, ...] = ()
    list_info: ListInfo = ListInfo()


class Note(Wire):
    id: Id
    description: str | None = None
    show_to_requester: bool | None = None


class NoteReply(Reply):
    note: Note = Field(validation_alias=AliasChoices("note", "request_note"))


class NoteList(Reply):
    notes: tuple[Note, ...] = Field(default=(), validation_alias=AliasChoices("notes", "request_notes"))
    list_info: ListInfo = ListInfo()
