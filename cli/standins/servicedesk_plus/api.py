"""The v3 API: one entry for every call, so that faults and the journal see them all."""

import asyncio
import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.background import BackgroundTask
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from cli.standins.loopback import LostReply
from cli.standins.servicedesk_plus.desk import STATUSES, Event, NewRequest, Note, Request, ServiceDesk, kept
from cli.standins.servicedesk_plus.faults import Call, Fault
from cli.standins.servicedesk_plus.listing import list_info
from cli.standins.servicedesk_plus.replies import (
    RefusedError,
    many,
    note_json,
    one,
    request_json,
    request_row,
    resolution_json,
)
from cli.standins.servicedesk_plus.webhooks import announce

_FORM: Final = "application/x-www-form-urlencoded"
_NAMED: Final = ("priority", "category", "site")
_HUGE: Final = b'{"response_status":{"status_code":2000,"status":"success"},"x":"' + b"x" * 10_000_000 + b'"}'


class Api:
    def __init__(self, desk: ServiceDesk) -> None:
        self.desk = desk

    async def answer(self, http: HttpRequest) -> Response:
        path = f"/{http.path_params['rest']}"
        input_data = await _input_data(http)
        fault = self.desk.faults.take(http.method, path)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        response = self._faulty(http, path, input_data, fault)
        status = 0 if isinstance(response, LostReply) else response.status_code
        self.desk.calls.append(Call(http.method, path, input_data, status))
        return response

    def _faulty(  # noqa: PLR0911 - a table: one row per fault
        self, http: HttpRequest, path: str, input_data: str | None, fault: Fault | None
    ) -> Response:
        listing = http.method == "GET" and path.rsplit("/", 1)[-1] in {"requests", "notes"}
        match fault:
            case Fault(kind="rate_limited", retry_after=after):
                headers = {"Retry-After": after} if after else None
                refused = RefusedError(4015, "API Rate Limit reached")
                return refused.response(listing=listing, headers=headers)
            case Fault(kind="error"):
                return RefusedError(4004, "Internal Error").response(listing=listing)
            case Fault(kind="failed_with_200"):
                return RefusedError(4001, "Unable to add", http=200).response(listing=listing)
            case Fault(kind="forbidden"):
                return RefusedError(4002, "not allowed for your role").response(listing=listing)
            case Fault(kind="web_page"):
                return HTMLResponse("<!doctype html><title>Log in</title><form>Log in</form>")
            case Fault(kind="redirect"):
                return RedirectResponse("/Login.jsp", 302)
            case Fault(kind="huge"):
                return Response(_HUGE, media_type="application/json")
            case Fault(kind="lost_reply"):
                done = self._done(http, path, input_data, listing=listing)
                return LostReply(background=done.background)
            case Fault(kind="truncated"):
                done = self._done(http, path, input_data, listing=listing)
                half = bytes(done.body)[: len(done.body) // 2]
                return Response(half, done.status_code, media_type="application/json")
            case _:
                return self._done(http, path, input_data, listing=listing)

    def _done(self, http: HttpRequest, path: str, input_data: str | None, *, listing: bool) -> Response:
        try:
            self._check_key(http)
            return self._route(http.method, path.strip("/").split("/"), input_data)
        except RefusedError as refused:
            return refused.response(listing=listing)

    def _check_key(self, http: HttpRequest) -> None:
        key = self.desk.authtoken
        onprem = self.desk.edition == "onprem"
        header, wanted = ("authtoken", key) if onprem else ("authorization", f"Zoho-oauthtoken {key}")
        if http.headers.get(header) != wanted:
            raise RefusedError(4022, "Invalid API Key")

    def _route(  # noqa: PLR0911 - a table: one row per call
        self, method: str, path: list[str], data: str | None
    ) -> Response:
        desk = self.desk
        match method, path:
            case "GET", ["requests"]:
                wanted = list_info(data)
                rows, info = wanted.page(wanted.requests(list(desk.requests.values())))
                return many("requests", [request_row(row) for row in rows], info)
            case "POST", ["requests"]:
                return self._created(_wrapped(data, "request"))
            case "GET", ["requests", id_]:
                return one("request", request_json(self._request(id_), desk.edition))
            case "PUT", ["requests", id_]:
                return self._changed(self._request(id_), _wrapped(data, "request"))
            case "GET", ["requests", id_, "notes"]:
                request = self._request(id_)
                notes, info = list_info(data).page(request.notes)
                return many("notes", [note_json(note, request) for note in notes], info)
            case "POST", ["requests", id_, "notes"]:
                return self._noted(self._request(id_), _wrapped(data, self._note))
            case "GET", ["requests", id_, "notes", note_id]:
                request = self._request(id_)
                return one(self._note, note_json(_note(request, note_id), request))
            case "GET", ["requests", id_, "resolutions"]:
                return one("resolution", resolution_json(self._request(id_)))
            case "POST", ["requests", id_, "resolutions"]:
                return self._resolved(self._request(id_), _wrapped(data, "resolution"))
            case _:
                raise RefusedError(4007, "Invalid URL")

    @property
    def _note(self) -> str:
        return "note" if self.desk.edition == "onprem" else "request_note"

    def _request(self, id_: str) -> Request:
        try:
            return self.desk.requests[id_]
        except KeyError:
            raise RefusedError(4007, "Resource not found", field="id") from None

    def _created(self, given: Mapping[str, object]) -> Response:
        subject = _mandatory(given, "subject")
        requester = given.get("requester")
        of_requester = requester if isinstance(requester, dict) else {}
        request = self.desk.create(
            NewRequest(
                subject=subject,
                description=_text(given, "description"),
                requester=_text(of_requester, "name"),
                requester_email=_text(of_requester, "email_id"),
                priority=_name(given.get("priority")),
                category=_name(given.get("category")),
                site=_name(given.get("site")),
            )
        )
        return self._announcing(request, "ticket_created", status=201)

    def _changed(self, request: Request, given: Mapping[str, object]) -> Response:
        if "status" in given:
            name = _name(given["status"])
            if name.lower() not in STATUSES:
                raise RefusedError(4001, f"no status {name!r}", field="status")
            self.desk.change_status(request, STATUSES[name.lower()])
        for name in ("subject", "description"):
            if name in given:
                setattr(request, name, kept(_text(given, name)))
        for name in _NAMED:
            if name in given:
                setattr(request, name, _name(given[name]))
        resolution = given.get("resolution")
        if isinstance(resolution, dict):
            request.resolution = kept(_text(resolution, "content"))
        self.desk.touch(request)
        return self._announcing(
            request, "ticket_updated" if request.status.in_progress else "ticket_resolved"
        )

    def _noted(self, request: Request, given: Mapping[str, object]) -> Response:
        note = self.desk.add_note(
            request,
            description=_mandatory(given, "description"),
            show_to_requester=given.get("show_to_requester") is True,
            notify_technician=given.get("notify_technician") is True,
            mark_first_response=given.get("mark_first_response") is True,
        )
        response = one(self._note, note_json(note, request), status=201)
        response.background = BackgroundTask(announce, self.desk, request, "note_added")
        return response

    def _resolved(self, request: Request, given: Mapping[str, object]) -> Response:
        request.resolution = kept(_mandatory(given, "content"))
        self.desk.touch(request)
        return one("resolution", resolution_json(request), status=201)

    def _announcing(self, request: Request, event: Event, *, status: int = 200) -> JSONResponse:
        response = one("request", request_json(request, self.desk.edition), status=status)
        response.background = BackgroundTask(announce, self.desk, request, event)
        return response


async def _input_data(http: HttpRequest) -> str | None:
    """Return the API's one parameter, from the query or from a form body; a JSON body is not looked at."""
    if "input_data" in http.query_params:
        return http.query_params["input_data"]
    if http.headers.get("content-type", "").partition(";")[0].strip() != _FORM:
        return None
    return dict(parse_qsl((await http.body()).decode())).get("input_data")


def _wrapped(input_data: str | None, wrapper: str) -> Mapping[str, object]:
    if input_data is None:
        raise RefusedError(4012, "input_data is mandatory", missing=["input_data"])
    try:
        whole = json.loads(input_data)
    except json.JSONDecodeError:
        raise RefusedError(4001, "JSON_PARSE_ERROR", field="input_data") from None
    if not isinstance(whole, dict) or not isinstance(whole.get(wrapper), dict):
        extra = next(iter(whole), "") if isinstance(whole, dict) else ""
        raise RefusedError(4001, "EXTRA_KEY_FOUND_IN_JSON", field=extra)
    inner: Mapping[str, object] = whole[wrapper]
    return inner


def _note(request: Request, note_id: str) -> Note:
    for note in request.notes:
        if note.id == note_id:
            return note
    raise RefusedError(4007, "Resource not found", field="id")


def _text(given: Mapping[str, object], name: str) -> str:
    value = given.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    raise RefusedError(4021, "Data type mismatch", field=name)


def _mandatory(given: Mapping[str, object], name: str) -> str:
    value = _text(given, name)
    if not value:
        raise RefusedError(4012, "Value for mandatory-field is not provided", missing=[name])
    return value


def _name(value: object) -> str:
    return _text(value, "name") if isinstance(value, dict) else ""
