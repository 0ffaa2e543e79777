import grpc

from services.runtime.errors import ServiceError
from services.synthesis.model import RequestId


class RequestIdReused(ServiceError):
    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "REQUEST_ID_REUSED"

    def __init__(self, request_id: RequestId) -> None:
        super().__init__(
            f"the request id {request_id} was used for another ticket, evidence or options; use a new one",
            metadata={"request_id": request_id},
        )
