"""What is written like a password, a key or a token: the one place that knows how these look."""

import json
import re
from collections.abc import Iterable
from typing import Final

from services.runtime.json_text import json_text

MASKED: Final = "***"
_FLAGS: Final = re.VERBOSE | re.IGNORECASE | re.DOTALL
# They are looked for first: what names them would otherwise take their first word for the whole.
_KEYS: Final = re.compile(
    r"""
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?P<bearer>\bbearer\s+)[\w.~+/-]{8,}=*
    | (?P<header>\bauthorization\\*["']?\s*[:=,]\s*b?\\*["']?(?:basic|token|digest)[^\S\n]+)
        (?=[^\s"']*(?-i:[A-Z\d=]))[^\s"'\\]+
    | \bdsk_[\w-]{16,}
    # A run of words and dots is looked through once, from its start: where the first has no two dots behind
    # it, no other has.
    | (?<![\w.-])(?P<before>(?>[\w.-]*?\b(?=(?-i:eyJ))))[\w-]*\.[\w-]*\.[\w.-]*
    """,
    _FLAGS,
)
_OF_OAUTH: Final = r"\b(?:client[_-]?secret|(?:access|refresh|id)[_-]?token)"
# After a colon, words of an error are no secrets: "access_token: signature mismatch".
_NAMED: Final = re.compile(
    rf"""
    (?P<query>[?&][\w.-]*(?:token|key|secret|passw(?:or)?d|signature)=)[^&\s"']+
    | (?P<quoted>{_OF_OAUTH}\\*["']?\s*[:=]\s*\\*(?P<quote>["'])).+?(?=\\{{0,8}}(?P=quote)|\Z)
    | (?P<set>{_OF_OAUTH}=)[^\s"'&]+
    | (?P<told>{_OF_OAUTH}:\s*)(?=[^\s"']*\d)[^\s"']{{6,}}
    """,
    _FLAGS,
)
_IN_TEXT: Final = re.compile(
    r"""
    (?P<named>
        \b(?:pass(?:word|wort|wd|phrase|code)?|kennwort|pwd|secret|(?:auth)?token|api[ _-]?key|credentials?)\b
        ["']?\s*(?:is\b|[:=])\s*)(?:(?:bearer|basic)[^\S\n]+)?\S+(?:\s*bearer\s+\S+)?
    | (?P<address>://)[^\s/@"']+@
    """,
    _FLAGS,
)
# Users alone are left, as in postgresql://dossier@db: they are read at three in the morning.
_IN_LINE: Final = re.compile(
    r"""
    (?P<user>://[^\s:/@"']*:)[^\s/@"']+@
    | (?P<address>https?://)(?=[^\s:/?\#;,@"']*\d)[^\s:/?\#;,@"']{20,}@
    """,
    _FLAGS,
)
_BEFORE_AT: Final = frozenset({"address", "user"})
# Without case, "-" and "_".
_FIELDS: Final = frozenset(
    {"clientsecret", "accesstoken", "refreshtoken", "idtoken", "authorization", "proxyauthorization"}
)
# One of these is in whatever the line is masked for, in capitals or not.
_SIGNS: Final = ("://", "eyj", "dsk_", "private key", "bearer", "=", "token", "secret", "authoriz")


def masked(text: str) -> str:
    """What a person wrote, without what is written in it like a secret."""
    return _without(text, (_KEYS, _NAMED, _IN_TEXT))


def masked_line(line: str) -> str:
    """A line of a log. A line of JSON stays one: its texts are masked, each by itself."""
    lower = line.lower()
    if not any(sign in lower for sign in _SIGNS):
        return line  # as nearly all lines, and found out in a fraction of the time
    if line.startswith("{"):
        try:
            return json_text(_masked_texts(json.loads(line)))
        except (ValueError, RecursionError):
            pass  # a readable line that happens to begin so, or one that is deeper than anybody reads
    return _of_line(line)


def _masked_texts(told: object) -> object:
    match told:
        case str():
            return _of_line(told)
        case list():
            return [_masked_texts(each) for each in told]
        case dict():
            return {
                _of_line(name): MASKED
                if isinstance(value, str | list | dict) and _is_secret(name)
                else _masked_texts(value)
                for name, value in told.items()
            }
        case _:
            return told


def _is_secret(name: str) -> bool:
    return name.lower().replace("-", "").replace("_", "") in _FIELDS


def _of_line(text: str) -> str:
    return _without(text, (_KEYS, _NAMED, _IN_LINE))


def _without(text: str, patterns: Iterable[re.Pattern[str]]) -> str:
    for pattern in patterns:
        text = pattern.sub(_mask, text)
    return text


def _mask(found: re.Match[str]) -> str:
    """What names it stays, and of an address what follows."""
    name = found.lastgroup
    kept = found.group(name) if name else ""
    return f"{kept}{MASKED}{'@' if name in _BEFORE_AT else ''}"
