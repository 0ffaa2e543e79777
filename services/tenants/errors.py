from collections.abc import Iterable, Mapping

import grpc

from services.runtime.errors import PermissionDenied, ServiceError, Unauthenticated


class TenantNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "TENANT_NOT_FOUND"

    def __init__(self, tenant: str) -> None:
        super().__init__(f"there is no tenant {tenant}", metadata={"tenant_id": tenant})


class TenantExists(ServiceError):
    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "TENANT_EXISTS"

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"there is a tenant {tenant} already; choose another id", metadata={"tenant_id": tenant}
        )


class TenantSuspended(ServiceError):
    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "TENANT_SUSPENDED"

    def __init__(self, tenant: str) -> None:
        super().__init__(f"the tenant {tenant} is suspended; resume it first", metadata={"tenant_id": tenant})


class TenantDeleting(ServiceError):
    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "TENANT_DELETING"

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"the tenant {tenant} is being deleted; its id may be taken again afterwards",
            metadata={"tenant_id": tenant},
        )


class TenantRemnants(ServiceError):
    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "TENANT_REMNANTS"

    def __init__(self, tenant: str, left: Mapping[str, int]) -> None:
        said = ", ".join(f"{table}: {count}" for table, count in sorted(left.items()))
        super().__init__(
            f"rows of a former client {tenant} are left ({said}); delete {tenant} again first",
            metadata={"tenant_id": tenant, "left": said},
        )


class DeletionNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "DELETION_NOT_FOUND"

    def __init__(self, deletion_id: str) -> None:
        super().__init__(f"there is no deletion {deletion_id}", metadata={"deletion_id": deletion_id})


class ToolUnknown(ServiceError):
    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "TOOL_UNKNOWN"

    def __init__(self, tool: str, installed: Iterable[str]) -> None:
        names = ", ".join(sorted(installed))
        super().__init__(
            f"no adapter for the ticketing tool {tool!r} is installed; there are: {names}",
            metadata={"tool": tool, "installed": names},
            field="tenant.ticketing.tool",
        )


class ConnectorUnknown(ServiceError):
    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "CONNECTOR_UNKNOWN"

    def __init__(self, connector: str, installed: Iterable[str], *, number: int) -> None:
        names = ", ".join(sorted(installed))
        super().__init__(
            f"no connector {connector!r} for knowledge bases is installed; there are: {names}",
            metadata={"connector": connector, "installed": names},
            field=f"tenant.knowledge_bases[{number}].connector",
        )


class KnowledgeBaseNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "KNOWLEDGE_BASE_NOT_FOUND"

    def __init__(self, tenant: str, name: str) -> None:
        super().__init__(
            f"{tenant} has no knowledge base {name}; add it to the settings first",
            metadata={"knowledge_base": name},
        )


class TenantChanged(ServiceError):
    code = grpc.StatusCode.ABORTED
    reason = "TENANT_CHANGED"

    def __init__(self, etag: str) -> None:
        super().__init__("the tenant has changed since it was read; read it again", metadata={"etag": etag})


class ApiKeyNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "API_KEY_NOT_FOUND"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no API key {key_id}", metadata={"key_id": key_id})


class TooManyApiKeys(ServiceError):
    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "TOO_MANY_API_KEYS"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"there are {most} good API keys, the most there may be; revoke one first",
            metadata={"most": str(most)},
        )


class ApiKeyInvalid(Unauthenticated):
    reason = "API_KEY_INVALID"

    def __init__(self) -> None:
        super().__init__("the API key is unknown, revoked or expired")


class RoleRequired(PermissionDenied):
    reason = "ROLE_REQUIRED"


class TenantConfined(PermissionDenied):
    reason = "TENANT_CONFINED"

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"the call is for the client {tenant} alone; make it for none", metadata={"tenant_id": tenant}
        )
