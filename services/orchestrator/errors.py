import grpc

from services.runtime.errors import PermissionDenied, ServiceError


class EnhancementNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "ENHANCEMENT_NOT_FOUND"

    def __init__(self, enhancement_id: str) -> None:
        super().__init__(
            f"there is no enhancement {enhancement_id}", metadata={"enhancement_id": enhancement_id}
        )


class TenantNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "TENANT_NOT_FOUND"

    def __init__(self, tenant: str) -> None:
        super().__init__(f"there is no tenant {tenant}", metadata={"tenant_id": tenant})


class CitationNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "CITATION_NOT_FOUND"

    def __init__(self, evidence_id: str) -> None:
        super().__init__(f"the brief does not cite {evidence_id}", metadata={"evidence_id": evidence_id})


class EnhancementEnded(ServiceError):
    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "ENHANCEMENT_ENDED"

    def __init__(self, enhancement_id: str, *, state: str, wanted: str) -> None:
        super().__init__(
            f"enhancement {enhancement_id} is {state}; {wanted}",
            metadata={"enhancement_id": enhancement_id, "state": state},
        )


class EnhancementNotReplayable(ServiceError):
    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "ENHANCEMENT_NOT_REPLAYABLE"

    def __init__(self, enhancement_id: str) -> None:
        super().__init__(
            f"enhancement {enhancement_id} has no inputs to replay: they are kept once they are gathered",
            metadata={"enhancement_id": enhancement_id},
        )


class RoleRequired(PermissionDenied):
    reason = "ROLE_REQUIRED"
