"""Every failure as a caller sees it: one table from gRPC codes to HTTP, one JSON shape."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final

import grpc
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # generated without stubs
from grpc import StatusCode

from services.runtime.errors import FieldViolation, Internal, InvalidArgument, ServiceError, status_of

HTTP_STATUS: Final[Mapping[StatusCode, int]] = MappingProxyType(
    {
        StatusCode.CANCELLED: 499,
        StatusCode.UNKNOWN: 500,
        StatusCode.INVALID_ARGUMENT: 400,
        StatusCode.DEADLINE_EXCEEDED: 504,
        StatusCode.NOT_FOUND: 404,
        StatusCode.ALREADY_EXISTS: 409,
        StatusCode.PERMISSION_DENIED: 403,
        StatusCode.RESOURCE_EXHAUSTED: 429,
        StatusCode.FAILED_PRECONDITION: 400,
        StatusCode.ABORTED: 409,
        StatusCode.OUT_OF_RANGE: 400,
        StatusCode.UNIMPLEMENTED: 501,
        StatusCode.INTERNAL: 500,
        StatusCode.UNAVAILABLE: 503,
        StatusCode.DATA_LOSS: 500,
        StatusCode.UNAUTHENTICATED: 401,
    }
)

_WORTH_RETRYING: Final = frozenset({429, 503, 504})
_OUR_BUGS: Final = frozenset({StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS})
_DEFAULT_RETRY_SECONDS: Final = 1

# What a service that gave no reason of its own, or could not be reached, is reported as. gRPC's own text
# names addresses and stays here.
_WITHOUT_REASON: Final[Mapping[StatusCode, tuple[str, str]]] = MappingProxyType(
    {
        StatusCode.UNAVAILABLE: ("DEPENDENCY_UNAVAILABLE", "{service} cannot be reached"),
        StatusCode.DEADLINE_EXCEEDED: ("DEADLINE_EXCEEDED", "{service} did not answer in time"),
        StatusCode.UNIMPLEMENTED: ("METHOD_UNIMPLEMENTED", "{service} does not have this method"),
        StatusCode.CANCELLED: ("CANCELLED", "the call was cancelled"),
        StatusCode.RESOURCE_EXHAUSTED: ("RESOURCE_EXHAUSTED", "the answer of {service} is too large"),
    }
)

# What a service says of its token, said of what a caller over REST has in hand.
_SAID_FOR_REST: Final[Mapping[str, str]] = MappingProxyType(
    {"TENANT_REQUIRED": "these credentials are for no client; name one in the header X-Dossier-Tenant"}
)


class ClientGone(Exception):
    """The client went away before it had sent everything; there is nobody to answer."""


class HttpError(ServiceError):
    """A failure that only HTTP knows: its status is not the table's."""

    status: ClassVar[int]
    headers: tuple[tuple[str, str], ...] = ()


class RouteNotFound(ServiceError):
    code = StatusCode.NOT_FOUND
    reason = "ROUTE_NOT_FOUND"


class MethodNotAllowed(HttpError):
    status = 405
    code = StatusCode.UNIMPLEMENTED
    reason = "METHOD_NOT_ALLOWED"

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        allow = ", ".join(sorted(set(allowed)))
        super().__init__(f"{method} is not possible here; {allow} is", metadata={"allow": allow})
        self.headers = (("allow", allow),)


class BodyUnread(HttpError):
    """Some of the body is left, and nobody wants it; it would be taken for the next request."""

    headers = (("connection", "close"),)


class BodyTooLarge(BodyUnread):
    status = 413
    code = StatusCode.INVALID_ARGUMENT
    reason = "BODY_TOO_LARGE"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is over {limit} bytes", metadata={"limit_bytes": str(limit)})


class BodyTooSlow(BodyUnread):
    status = 408
    code = StatusCode.DEADLINE_EXCEEDED
    reason = "BODY_TOO_SLOW"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the body did not come within {seconds:g} s", metadata={"seconds": f"{seconds:g}"})


class BodyInflated(BodyTooLarge):
    """What was sent unpacks to far more than rows do."""

    reason = "BODY_INFLATED"

    def __init__(self, times: int) -> None:
        HttpError.__init__(self, f"the body unpacks to more than {times} times its size; send it as it is")


class JsonMalformed(InvalidArgument):
    reason = "JSON_MALFORMED"

    def __init__(self, problem: str, *, line: int, column: int) -> None:
        where = {"line": str(line), "column": str(column)}
        super().__init__(f"{problem} at line {line} column {column}", metadata=where)


class FieldUnknown(InvalidArgument):
    reason = "FIELD_UNKNOWN"

    def __init__(self, path: str, known: Iterable[str]) -> None:
        super().__init__(f"{path}: there is no such field; there are {', '.join(known)}", field=path)


class FieldInvalid(InvalidArgument):
    reason = "FIELD_INVALID"

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}", field=path)


class ServiceFailed(Exception):
    """A call to a service ended with an error; what it said is passed on."""

    def __init__(self, service: str, error: grpc.aio.AioRpcError) -> None:
        super().__init__(service, error)
        self.service = service
        self.error = error

    @property
    def code(self) -> StatusCode:
        return self.error.code()


@dataclass(frozen=True, slots=True)
class Problem:
    """A failure, ready to be sent."""

    status: int
    code: str
    reason: str
    message: str
    details: Mapping[str, object]
    headers: tuple[tuple[str, str], ...] = field(default=())

    def body(self, request_id: str) -> dict[str, object]:
        return {
            "code": self.code,
            "reason": self.reason,
            "message": self.message,
            "request_id": request_id,
            "details": self.details,
        }


def problem_of(error: Exception, request_id: str) -> Problem:
    """Say what a caller may know of this failure."""
    match error:
        case ServiceFailed():
            return _from_service(error, request_id)
        case ServiceError():
            return _problem(
                error.code,
                error.reason,
                error.message,
                details=_details(error.metadata, error.violations, domain="gateway.dossier"),
                retry_after=error.retry_after_seconds,
                special=error if isinstance(error, HttpError) else None,
            )
        case _:
            return problem_of(Internal(request_id), request_id)


def _from_service(failed: ServiceFailed, request_id: str) -> Problem:
    status = status_of(failed.error)
    info, bad_request, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    unpacked = {
        type(into)
        for into in (info, bad_request, retry)
        for each in (status.details if status else ())
        if each.Unpack(into)
    }
    if error_details_pb2.ErrorInfo not in unpacked:
        return _without_reason(failed, request_id)
    violations = tuple(FieldViolation(each.field, each.description) for each in bad_request.field_violations)
    return _problem(
        failed.code,
        info.reason,
        _SAID_FOR_REST.get(info.reason) or failed.error.details() or "",
        details=_details(info.metadata, violations, domain=info.domain),
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() or None,
    )


def _without_reason(failed: ServiceFailed, request_id: str) -> Problem:
    if failed.code in _OUR_BUGS:
        return problem_of(Internal(request_id), request_id)
    fallback = (failed.code.name, "{service} refused the call")
    reason, message = _WITHOUT_REASON.get(failed.code, fallback)
    details = _details({"dependency": failed.service}, (), domain="gateway.dossier")
    return _problem(failed.code, reason, message.format(service=failed.service), details=details)


def _problem(
    code: StatusCode,
    reason: str,
    message: str,
    *,
    details: dict[str, object],
    retry_after: float | None = None,
    special: HttpError | None = None,
) -> Problem:
    status = HTTP_STATUS[code] if special is None else special.status
    headers = () if special is None else special.headers
    if status in _WORTH_RETRYING:
        seconds = max(1, math.ceil(retry_after or _DEFAULT_RETRY_SECONDS))
        details = {**details, "retry_after_seconds": seconds}
        headers = (*headers, ("retry-after", str(seconds)))
    if status == 401:
        headers = (*headers, ("www-authenticate", _challenge(reason, message)))
    return Problem(status, code.name, reason, message, details, headers)


def _challenge(reason: str, message: str) -> str:
    """Ask for a bearer as RFC 6750 has it; where there was none, there is no error to tell of."""
    challenge = 'Bearer realm="dossier"'
    if not reason.startswith(("TOKEN_", "API_KEY_")):
        return challenge
    told = "".join(letter for letter in message if " " <= letter <= "~" and letter not in '"\\\\')
    return f'{challenge}, error="invalid_token", error_description="{told}"'


def _details(
    metadata: Mapping[str, str], violations: Iterable[FieldViolation], *, domain: str
) -> dict[str, object]:
    details: dict[str, object] = {"domain": domain}
    if metadata:
        details["metadata"] = dict(metadata)
    if fields := [{"field": each.field, "description": each.description} for each in violations]:
        details["fields"] = fields
    return details
