"""What is written like a password, a key or a token: the one place that knows how these look."""

import re
from typing import Final

MASKED: Final = "***"
_KEYS: Final = r"""
    (?P<bearer>\bbearer\s+)[\w.~+/-]{8,}=*
    | \bdsk_[\w-]{16,}
    | \beyJ[\w-]{8,}\.[\w-]+\.[\w-]*
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
"""
_FLAGS: Final = re.VERBOSE | re.IGNORECASE | re.DOTALL
_IN_TEXT: Final = re.compile(
    rf"""
    (?P<named>
        \b(?:pass(?:word|wort|wd|phrase|code)?|kennwort|pwd|secret|(?:auth)?token|api[ _-]?key|credentials?)\b
        ["']?\s*(?:is\b|[:=])\s*)\S+(?:\s*bearer\s+\S+)?
    | (?P<address>://)[^\s/@"']+@
    | {_KEYS}
    """,
    _FLAGS,
)
_IN_LINE: Final = re.compile(
    rf"""
    (?P<user>://[^\s:/@"']*:)[^\s/@"']+@
    | (?P<named>[?&][\w.-]*(?:token|key|secret|passw(?:or)?d|signature)=)[^&\s"']+
    | {_KEYS}
    """,
    _FLAGS,
)
# One of these is in whatever the line is masked for.
_SIGNS: Final = ("://", "eyJ", "dsk_", "-----BEGIN", "earer ", "=")


def masked(text: str) -> str:
    """What a person wrote, without what is written in it like a secret."""
    return _IN_TEXT.sub(_mask, text)


def masked_line(line: str) -> str:
    """A line of a log. JSON stays JSON, but where a private key without its end takes the rest with it."""
    if not any(sign in line for sign in _SIGNS):
        return line  # as nearly all lines, and found out in a fraction of the time
    return _IN_LINE.sub(_mask, line)


def _mask(found: re.Match[str]) -> str:
    groups = found.groupdict()
    kept = groups["named"] or groups["bearer"] or groups.get("address") or groups.get("user") or ""
    return f"{kept}{MASKED}{'@' if groups.get('address') or groups.get('user') else ''}"
