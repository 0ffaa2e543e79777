"""Lists that come page by page, read to their end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar


class Asking(Protocol):
    page_token: str


class Page(Protocol):
    next_page_token: str


Request = TypeVar("Request", bound=Asking)
Answer = TypeVar("Answer", bound=Page)


async def pages(ask: Callable[[Request], Awaitable[Answer]], request: Request) -> AsyncIterator[Answer]:
    """Yield each page; the request is changed on the way, to ask for the next."""
    while True:
        page = await ask(request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
