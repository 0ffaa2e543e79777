from services.runtime.caller import current_caller
from services.runtime.request_id import current_request_id
from services.tenants.audit import Actor


def current_actor() -> Actor:
    """Who makes the call at hand, as the audit log names them."""
    caller = current_caller()
    return Actor(caller.principal, caller.subject, caller.role, current_request_id() or "")
