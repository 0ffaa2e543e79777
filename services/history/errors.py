import grpc

from services.history.model import TicketId
from services.runtime.errors import ServiceError


class TicketNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "TICKET_NOT_FOUND"

    def __init__(self, ticket_id: TicketId) -> None:
        super().__init__(f"there is no ticket {ticket_id}", metadata={"ticket_id": ticket_id})
