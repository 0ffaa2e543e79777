"""What one client has, by the names under which somebody else might ask for it or recognise it."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self
from uuid import uuid4

_PAGE_LIST_BYTES: Final = 9
_CHANGING: Final = (
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)"), "<time>"),
    (re.compile(r'"\d+(?:\.\d+)?s"'), '"<duration>"'),
)


@dataclass(frozen=True, slots=True)
class Belongings:
    """Every value is one that no other client has."""

    tenant: str
    display_name: str
    word: str
    """Stands in every text of the client's and in no other."""
    ticket: str
    ticket_source: str
    article: str
    article_source: str
    knowledge_base: str
    asset: str
    address: str
    mac_address: str
    prefix: str
    enhancement: str
    """Its brief is written, and posted."""
    waiting: str
    """Stands in the client's queue, which is paused."""
    failed: str
    reported: str
    """The ticket of `enhancement`, in the client's ticketing tool."""
    request_id: str
    """With which the client has asked for an enhancement, and given feedback."""
    api_key: str
    api_key_id: str
    """Of a key that nobody uses."""
    operator_key_id: str
    """Of a key of the operator's own, which was made when this client came."""
    webhook_secret: str
    deletion: str
    """The client was deleted once before, and taken on again under the same id."""
    webhook_secret_id: str
    pages: Mapping[str, str] = field(default_factory=dict)
    """By RPC, the token of the second page of the client's list."""

    @classmethod
    def invented(cls, like: Self) -> Self:
        """What nobody has, of the same form."""
        own: dict[str, Any] = {
            "tenant": "nobody-at-all",
            "display_name": "Nobody At All",
            "word": "inexistentium",
            "address": "10.250.7.7",
            "mac_address": "02:fa:07:07:07:07",
            "prefix": "10.250.7.0/24",
            "api_key": f"dsk_{'x' * (len(like.api_key) - 4)}",
            "pages": {rpc: _of_another_list(token) for rpc, token in like.pages.items()},
            **{
                name: str(uuid4())
                for name in (
                    *("enhancement", "waiting", "failed", "request_id", "deletion"),
                    *("api_key_id", "operator_key_id", "webhook_secret_id"),
                )
            },
        }
        for each in fields(cls):
            own.setdefault(each.name, f"invented-{each.name}".replace("_", "-"))
        return cls(**own)

    def names(self) -> Mapping[str, str]:
        """Each value, with what it is."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "pages"}
        return own | {f"page of {rpc}": token for rpc, token in self.pages.items()}

    def hide_in(self, text: str) -> str:
        """Put what each value is in its place, the longest first."""
        for what, value in sorted(self.names().items(), key=lambda name: -len(name[1])):
            text = text.replace(json.dumps(value)[1:-1], f"<{what}>")
        return text

    def seen_in(self, text: str) -> set[str]:
        return {what for what, value in self.names().items() if value.lower() in text.lower()}


def steady(text: str) -> str:
    """Take out what differs each time, whoever asks."""
    for pattern, name in _CHANGING:
        text = pattern.sub(name, text)
    return text


def _of_another_list(token: str) -> str:
    raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    other = bytes(byte ^ 0xFF for byte in raw[:_PAGE_LIST_BYTES]) + raw[_PAGE_LIST_BYTES:]
    return urlsafe_b64encode(other).rstrip(b"=").decode()
