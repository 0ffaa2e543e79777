"""What is written like a password, a key or a token: the one place that knows how these look."""

import re
from base64 import b64decode
from typing import Final

MASKED: Final = "***"
_KEYS: Final = r"""
    (?P<bearer>\bbearer\s+)[\w.~+/-]{8,}=*
    | (?P<basic>\bbasic\s+)(?P<pair>[a-z0-9+/]{4,}={0,2})
    | \bdsk_[\w-]{16,}
    | \beyJ[\w-]{8,}\.[\w-]+\.[\w-]*
"""
_BEGIN: Final = r"-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----"
_END: Final = r"-----END\ [A-Z ]*PRIVATE\ KEY-----"
_COMPOUND: Final = r"""
    (?:client|app|consumer|shared|webhook)[_-]secret | secret[_-](?:access[_-])?key
    | (?:api|private|signing)[_-]key | (?:access|refresh|auth)[_-]token
"""
_FLAGS: Final = re.VERBOSE | re.IGNORECASE | re.DOTALL
_IN_TEXT: Final = re.compile(
    rf"""
    (?P<named>
        \b(?:
            pass(?:word|wort|wd|phrase|code)?|kennwort|pwd|secret|(?:auth)?token|api[ _-]?key|credentials?
            |{_COMPOUND}
        )\b
        ["']?\s*(?:is\b|[:=])\s*)\S+(?:\s*bearer\s+\S+)?
    | (?P<address>://)[^\s/@"']+@
    | {_KEYS}
    | {_BEGIN}.*?(?:{_END}|\Z)
    """,
    _FLAGS,
)
# No backslash and no quote in what is masked: where the line is JSON, its strings end where they did.
_IN_LINE: Final = re.compile(
    rf"""
    (?P<user>://[^\s:/@"']*:)[^\s/@"'\\]+@
    | (?P<alone>\bhttps?://)[^\s:/?\#@"'\\]+@
    | (?P<named>
        [?&][\w.-]*(?:token|key|secret|passw(?:or)?d|signature)=
        | \b(?:{_COMPOUND})(?:\\*["']\s*:\s*\\*["'] | \s*[:=]\s*(?:\\*["'])?)
      )[^&\s"'\\]+
    | {_KEYS}
    | {_BEGIN}[^"]*?(?:{_END}|(?=\\*")|\Z)
    """,
    _FLAGS,
)
# One of these is in whatever the line is masked for.
_SIGNS: Final = (
    *("://", "eyj", "dsk_", "-----begin", "bearer", "basic", "="),
    *("_secret", "-secret", "_key", "-key", "_token", "-token"),
)


def masked(text: str) -> str:
    """What a person wrote, without what is written in it like a secret."""
    return _IN_TEXT.sub(_mask, text)


def masked_line(line: str) -> str:
    """A line of a log. JSON stays JSON."""
    lower = line.lower()
    if not any(sign in lower for sign in _SIGNS):
        return line  # as nearly all lines, and found out in a fraction of the time
    return _IN_LINE.sub(_mask, line)


def _mask(found: re.Match[str]) -> str:
    groups = found.groupdict()
    if groups["pair"] and not _is_pair(groups["pair"]):
        return found[0]
    before_host = groups.get("address") or groups.get("user") or groups.get("alone")
    kept = groups["named"] or groups["bearer"] or groups["basic"] or before_host or ""
    return f"{kept}{MASKED}{'@' if before_host else ''}"


def _is_pair(encoded: str) -> bool:
    """Whether it is a name and a password: "basic" is also a word like any other."""
    try:
        return b":" in b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return False
