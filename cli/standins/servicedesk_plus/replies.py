"""The JSON of API v3."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from starlette.responses import JSONResponse

from cli.standins.servicedesk_plus.desk import Edition, Note, Request

SUCCESS: Final = {"status_code": 2000, "status": "success"}
_HTTP_STATUS: Final = {4002: 403, 4004: 500, 4007: 404, 4015: 429, 4022: 401}


class RefusedError(Exception):
    """The call fails with this code of the tool's own; HTTP 400 unless the code has one."""

    def __init__(
        self, code: int, message: str, *, field: str = "", missing: Sequence[str] = (), http: int = 0
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.field = field
        self.missing = missing
        self.http = http or _HTTP_STATUS.get(code, 400)

    def response(self, *, listing: bool, headers: Mapping[str, str] | None = None) -> JSONResponse:
        said: dict[str, object] = {"status_code": self.code, "type": "failed", "message": self.message}
        if self.field:
            said["field"] = self.field
        if self.missing:
            said["fields"] = list(self.missing)
        status = {"status_code": self.code, "status": "failed", "messages": [said]}
        return JSONResponse({"response_status": [status] if listing else status}, self.http, headers)


def one(name: str, value: Mapping[str, object], *, status: int = 200) -> JSONResponse:
    return JSONResponse({name: value, "response_status": SUCCESS}, status)


def many(name: str, rows: Sequence[Mapping[str, object]], list_info: Mapping[str, object]) -> JSONResponse:
    return JSONResponse({"response_status": [SUCCESS], "list_info": list_info, name: rows})


def request_row(request: Request) -> dict[str, object]:
    """Return a request as lists have it: without description and resolution."""
    status = request.status
    return {
        "id": request.id,
        "display_id": request.display_id,
        "subject": request.subject,
        "requester": {"name": request.requester, "email_id": request.requester_email or None},
        "priority": _named(request.priority),
        "category": _named(request.category),
        "site": _named(request.site),
        "technician": None,
        "status": {
            "id": status.id,
            "name": status.name,
            "internal_name": status.name,
            "in_progress": status.in_progress,
            "color": status.color,
        },
        "created_time": _time(request.created),
        "last_updated_time": _time(request.updated),
        "resolved_time": _time(request.resolved),
        "completed_time": _time(request.resolved),
        "is_service_request": False,
    }


def request_json(request: Request, edition: Edition) -> dict[str, object]:
    inline = edition == "onprem" and bool(request.resolution)
    return {
        **request_row(request),
        "description": request.description,
        # Cloud keeps it beside the request.
        "resolution": {"content": request.resolution} if inline else None,
        "has_notes": bool(request.notes),
        "udf_fields": {},
        "attachments": [],
    }


def note_json(note: Note, request: Request) -> dict[str, object]:
    return {
        "id": note.id,
        "description": note.description,
        "show_to_requester": note.show_to_requester,
        "notify_technician": note.notify_technician,
        "mark_first_response": note.mark_first_response,
        "created_time": _time(note.created),
        "created_by": {"name": "Dossier", "is_technician": True},
        "request": {"id": request.id},
    }


def resolution_json(request: Request) -> dict[str, object]:
    return {"content": request.resolution, "submitted_on": _time(request.resolved)}


def _named(name: str) -> dict[str, str] | None:
    return {"name": name} if name else None


def milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def _time(moment: datetime | None) -> dict[str, str] | None:
    if moment is None:
        return None
    return {"display_value": moment.strftime("%b %d, %Y %I:%M %p"), "value": milliseconds(moment)}
