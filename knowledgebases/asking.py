"""What it means that nothing came of a request to a knowledge base, whatever connector made it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientError, InvalidURL

from egress.replies import TooLarge, what_broke
from knowledgebases.errors import Rejected, TooMuch, Unavailable


@asynccontextmanager
async def asking(doing: str, *, most_bytes: int) -> AsyncIterator[None]:
    """`doing` is what an administrator would call it; `most_bytes` is how much of an answer is read."""
    try:
        yield
    except TooLarge:
        raise TooMuch(f"cannot {doing}: the answer is larger than {most_bytes >> 20} MiB") from None
    except TimeoutError:
        raise Unavailable(f"cannot {doing}: no answer in time") from None
    except InvalidURL:
        raise Rejected("base_url is not an address") from None
    except ClientError as error:
        raise Unavailable(f"cannot {doing}: {what_broke(error)}") from error
