"""Errors as typed values: one canonical code, one documented reason, everything dynamic in metadata.

Handlers raise these; the errors interceptor is the only place that turns them into a status. A service
subclasses `ServiceError` once per reason it documents in its `error_reason.proto`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import grpc
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # generated without stubs
from grpc_status import rpc_status


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of a request; `field` is its path, as in `ticket.tags[2]`."""

    field: str
    description: str


class ServiceError(Exception):
    """A failure that the caller is told about; its message and metadata are public."""

    code: ClassVar[grpc.StatusCode]
    reason: ClassVar[str]

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        field: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations: tuple[FieldViolation, ...] = (FieldViolation(field, message),) if field else ()
        self.retry_after_seconds = retry_after_seconds


class InvalidArgument(ServiceError):
    """Wrong whatever the state. Reason `INVALID_ARGUMENT`, with the fields in `BadRequest`."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"


class InvalidFields(InvalidArgument):
    """A request that breaks its contract's rules, every broken rule named."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        super().__init__(
            "; ".join(
                # What holds for a message as a whole is of no field.
                f"{each.field}: {each.description}" if each.field else each.description
                for each in violations
            )
        )
        self.violations = violations


class Unauthenticated(ServiceError):
    """Who is calling could not be established."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class TokenMissing(Unauthenticated):
    reason = "TOKEN_MISSING"


class TokenExpired(Unauthenticated):
    reason = "TOKEN_EXPIRED"


class TokenWrongAudience(Unauthenticated):
    """A token for another service: it must not be replayed here."""

    reason = "TOKEN_WRONG_AUDIENCE"


class TokenInvalid(Unauthenticated):
    """Malformed, signed by an unknown key, or with claims that are not ours."""

    reason = "TOKEN_INVALID"


class CertificateMismatch(Unauthenticated):
    """The token was signed for another workload than the client certificate names."""

    reason = "CERTIFICATE_MISMATCH"


class PermissionDenied(ServiceError):
    """The caller is known and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class TenantRequired(PermissionDenied):
    """The call works on one tenant's data and its token names no tenant."""

    reason = "TENANT_REQUIRED"


class DependencyUnavailable(ServiceError):
    """Something this service cannot work without does not answer; the call may be retried."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "DEPENDENCY_UNAVAILABLE"

    def __init__(self, dependency: str, problem: str = "does not answer") -> None:
        super().__init__(f"{dependency} {problem}", metadata={"dependency": dependency})


class TransactionAborted(DependencyUnavailable):
    """Undone for another transaction's sake; the whole of it may be tried again at once."""


class DeadlineExceeded(ServiceError):
    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class Internal(ServiceError):
    """Our bug. Its text is fixed, so that nothing of the cause leaves the process."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"

    def __init__(self, request_id: str) -> None:
        super().__init__(f"internal error; request id {request_id}", metadata={"request_id": request_id})


def to_status(error: ServiceError, *, domain: str) -> status_pb2.Status:
    """Build the rich status of an error: exactly one `ErrorInfo`, then the field and retry details it has."""
    status = status_pb2.Status(code=error.code.value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=domain, metadata=error.metadata)
    status.details.add().Pack(info)
    if error.violations:
        bad_request = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad_request.field_violations.add(field=violation.field, description=violation.description)
        status.details.add().Pack(bad_request)
    if error.retry_after_seconds is not None:
        retry_info = error_details_pb2.RetryInfo()
        retry_info.retry_delay.FromNanoseconds(round(error.retry_after_seconds * 1e9))
        status.details.add().Pack(retry_info)
    return status


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    """Read, on the client's side, the rich status a server sent; None where it sent a bare code."""
    call: Any = error
    try:
        return rpc_status.from_call(call)
    except ValueError:
        return None


def error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    """Read, on the client's side, the reason a server gave; None where it gave none."""
    status = status_of(error)
    if status is None:
        return None
    info = error_details_pb2.ErrorInfo()
    return next((info for detail in status.details if detail.Unpack(info)), None)
