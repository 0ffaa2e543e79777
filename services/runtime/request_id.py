"""The id that follows one request through every hop and every log line."""

import re
from contextvars import ContextVar

from uuid_utils import uuid7

METADATA_KEY = "x-request-id"

_current: ContextVar[str | None] = ContextVar("dossier_request_id", default=None)
# What a stranger sends ends up in logs and error texts, so only a plain token is taken over.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def current_request_id() -> str | None:
    return _current.get()


def adopt_request_id(offered: str | None) -> str:
    """Make the offered id current, or a new one where none (or no acceptable one) was offered."""
    request_id = offered if offered and _ACCEPTABLE.fullmatch(offered) else str(uuid7())
    _current.set(request_id)
    return request_id
