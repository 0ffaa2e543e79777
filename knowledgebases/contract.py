"""What a connector provides."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import ClassVar, Protocol

from aiohttp import ClientSession

from egress.connection import Connection
from knowledgebases.model import Listed, Page


class Connector(Protocol):
    """A connector keeps no state: everything about a tenant comes with the call.

    Methods reach the knowledge base in the session given (`knowledgebases.session`), raise
    `KnowledgeBaseError`s only, make one attempt (retrying is the caller's) and follow no redirects. A page
    that this account does not see, or that is archived or in the bin, is not there.
    """

    name: ClassVar[str]
    options: ClassVar[frozenset[str]]
    """What of a connection's options it reads. None may hold a secret: they are shown."""
    can_search: ClassVar[bool]
    """Whether `search` finds anything: a knowledge base that is only files has nothing to ask."""
    most_at_once: ClassVar[int]
    """How many pages `read` takes."""

    async def sign_in(self, http: ClientSession, connection: Connection) -> str:
        """Return, in words without secrets, as whom."""

    def list_pages(
        self, http: ClientSession, connection: Connection, *, since: datetime | None
    ) -> AsyncIterator[Sequence[Listed]]:
        """Yield all that are there, or at least all that have changed since then, some at a time.

        May miss one while others come and go: ask `read` before it is believed to be gone.
        """

    async def read(
        self, http: ClientSession, connection: Connection, pages: Sequence[Listed]
    ) -> Sequence[Page]:
        """Read those of the pages that are there; `TooMuch` where they are too long together.

        They are given as they were listed a moment ago, or by their id alone.
        """

    async def search(
        self, http: ClientSession, connection: Connection, words: Sequence[str], *, limit: int
    ) -> Sequence[Page]:
        """Find pages that have any of the words, as the knowledge base ranks them. `TooMuch` as above."""
