"""The two tables: codes to statuses, calls to roles."""

import grpc

from gateway import roles
from gateway.errors import HTTP_STATUS
from gateway.mesh import CONTRACTS
from gateway.transcode.bindings import bindings


def test_every_code_has_the_status_that_the_documentation_promises() -> None:
    promised = {
        "CANCELLED": 499,
        "UNKNOWN": 500,
        "INVALID_ARGUMENT": 400,
        "DEADLINE_EXCEEDED": 504,
        "NOT_FOUND": 404,
        "ALREADY_EXISTS": 409,
        "PERMISSION_DENIED": 403,
        "RESOURCE_EXHAUSTED": 429,
        "FAILED_PRECONDITION": 400,
        "ABORTED": 409,
        "OUT_OF_RANGE": 400,
        "UNIMPLEMENTED": 501,
        "INTERNAL": 500,
        "UNAVAILABLE": 503,
        "DATA_LOSS": 500,
        "UNAUTHENTICATED": 401,
    }
    assert {code.name: status for code, status in HTTP_STATUS.items()} == promised
    assert set(HTTP_STATUS) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


def test_roles_are_required_only_for_what_there_is() -> None:
    served = {binding.method.full_name for binding in bindings(CONTRACTS)}
    assert set(roles.REQUIRED) <= served
