"""What is written like a password, a key or a token: the one place that knows how these look."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from services.runtime.json_text import json_text

MASKED: Final = "***"
_FLAGS: Final = re.VERBOSE | re.IGNORECASE | re.DOTALL
# They are looked for first: what names them would otherwise take their first word for the whole.
_KEYS: Final = re.compile(
    r"""
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?P<bearer>\bbearer\s+)[\w.~+/-]{8,}=*
    | (?P<basic>\bauthorization\\*["']?\s*[:=]\s*\\*["']?basic\s+)[\w+/-]+=*
    | \bdsk_[\w-]{16,}
    | (?<![\w-])eyJ[\w-]{8,}\.[\w-]+\.[\w-]*
    """,
    _FLAGS,
)
_IN_TEXT: Final = re.compile(
    r"""
    (?P<named>
        \b(?:pass(?:word|wort|wd|phrase|code)?|kennwort|pwd|secret|(?:auth)?token|api[ _-]?key|credentials?)\b
        ["']?\s*(?:is\b|[:=])\s*)(?:(?:bearer|basic)\s+)?\S+
    | (?P<address>://)[^\s/@"']+@
    """,
    _FLAGS,
)
# Users alone are left, as in postgresql://dossier@db: they are read at three in the morning.
_IN_LINE: Final = re.compile(
    r"""
    (?P<user>://[^\s:/@"']*:)[^\s/@"']+@
    | (?P<address>://)[^\s:/@"']{20,}@
    | (?P<named>[?&][\w.-]*(?:token|key|secret|passw(?:or)?d|signature)=)[^&\s"']+
    | (?P<field>\b(?:client_secret|(?:access|refresh|id)_token)\\*["']?\s*[:=]\s*\\*["']?)[^\s"'\\,&*]{8,}
    """,
    _FLAGS,
)
_FIELDS: Final = frozenset({"client_secret", "access_token", "refresh_token", "id_token", "authorization"})
# One of these is in whatever the line is masked for.
_SIGNS: Final = (
    "://",
    "eyJ",
    "dsk_",
    "-----BEGIN",
    "earer",
    "EARER",
    "=",
    "_secret",
    "_token",
    "uthorization",
)


def masked(text: str) -> str:
    """What a person wrote, without what is written in it like a secret."""
    return _without(text, (_KEYS, _IN_TEXT))


def masked_line(line: str) -> str:
    """A line of a log. A line of JSON stays one: its texts are masked, each by itself."""
    if not any(sign in line for sign in _SIGNS):
        return line  # as nearly all lines, and found out in a fraction of the time
    if line.startswith("{"):
        try:
            return json_text(_masked_texts(json.loads(line)))
        except ValueError:
            pass  # a readable line that happens to begin so
    return _of_line(line)


def _masked_texts(told: Any) -> Any:
    match told:
        case str():
            return _of_line(told)
        case list():
            return [_masked_texts(each) for each in told]
        case dict():
            return {
                name: MASKED if name in _FIELDS and isinstance(each, str) else _masked_texts(each)
                for name, each in told.items()
            }
        case _:
            return told


def _of_line(text: str) -> str:
    return _without(text, (_KEYS, _IN_LINE))


def _without(text: str, patterns: Iterable[re.Pattern[str]]) -> str:
    for pattern in patterns:
        text = pattern.sub(_mask, text)
    return text


def _mask(found: re.Match[str]) -> str:
    """What names it stays, and of an address what follows."""
    name = found.lastgroup
    kept = found.group(name) if name else ""
    return f"{kept}{MASKED}{'@' if name in {'address', 'user'} else ''}"
