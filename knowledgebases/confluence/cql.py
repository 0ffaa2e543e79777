"""Queries in Confluence's language, such that what is in a question cannot be more than words in them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

_NOT_IN_A_WORD: Final = re.compile(r"[\W_]+")
# What is indexed late, and clocks that differ.
_OVERLAP: Final = timedelta(minutes=10)


def pages_of(spaces: Sequence[str]) -> str:
    return f"type = page and space in ({', '.join(map(_quoted, spaces))})"


def changed_since(moment: datetime) -> str:
    """As so many minutes ago: a date would be read in the time zone of the account."""
    ago = datetime.now(UTC) - moment + _OVERLAP
    return f'lastmodified >= now("-{max(1, -(-ago // timedelta(minutes=1)))}m")'


def with_ids(page_ids: Sequence[str]) -> str:
    return f"id in ({', '.join(page_ids)})"


def with_any(words: Sequence[str]) -> str | None:
    """None where nothing of the words can be searched for."""
    # In lower case, for AND, OR and NOT are words of the language within quotes, too.
    cleaned = (" ".join(_NOT_IN_A_WORD.sub(" ", word).split()).lower() for word in words)
    told = [f"text ~ {_quoted(word)}" for word in dict.fromkeys(cleaned) if len(word) > 1]
    return f"({' or '.join(told)})" if told else None


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
