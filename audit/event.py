"""What was changed, and who made the call that changed it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit.changes import FieldChange
from services.runtime.caller import current_caller
from services.runtime.request_id import current_request_id

OPERATOR: Final = "-"
"""In place of a client, for what is changed for all of them: no client can be called so."""


@dataclass(frozen=True, slots=True)
class Actor:
    principal: str
    subject: str
    role: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Action:
    """`name` is the RPC's; `resource` what it was about, such as `tickets/SOURCE/ID`."""

    name: str
    resource: str
    changes: Sequence[FieldChange] = ()


def current_actor() -> Actor:
    caller = current_caller()
    return Actor(caller.principal, caller.subject, caller.role, current_request_id() or "")
