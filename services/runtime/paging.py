"""Page tokens: where the next page begins, bound to the list they came from."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import TypeAlias

import orjson

from services.runtime.errors import InvalidArgument

Key: TypeAlias = str | int | float | bool | None


class PageTokens:
    """The tokens of one list: this method, tenant and filter.

    The key parts are the sort key of the last row of a page. A token of another list is refused rather than
    continued at a place that means nothing there. Nothing secret is in it: it is readable, and row-level
    security decides what the rows are.
    """

    def __init__(self, method: str, tenant: str, filter: str = "") -> None:  # noqa: A002 - the contract's word
        list_identity = orjson.dumps([method, tenant, filter])
        self._list = blake2b(list_identity, digest_size=9).digest()

    def encode(self, *key: Key) -> str:
        return urlsafe_b64encode(self._list + orjson.dumps(key)).rstrip(b"=").decode()

    def decode(self, token: str) -> tuple[Key, ...]:
        """Return the key parts; empty for the first page, which has no token."""
        if not token:
            return ()
        try:
            raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            key = orjson.loads(raw[len(self._list) :])
        except ValueError:
            raise InvalidArgument("is not a page token", field="page_token") from None
        if not raw.startswith(self._list) or not isinstance(key, list):
            raise InvalidArgument("belongs to another list", field="page_token")
        return tuple(key)
