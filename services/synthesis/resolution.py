"""Takes a technician's note of what solved a ticket apart: what was wrong, and what was done about it."""

import re
from dataclasses import dataclass
from typing import Final

from services.synthesis.language import sentences, terms

# Verbs that tell what was done, or what to do.
_ACTIONS: Final = terms(
    """
    add adjust allow apply ask assign block calibrate change check clean clear close collect compare
    configure confirm connect copy correct create cut delete disable disconnect download edit enable end
    enrol escalate exclude expand export extend fill find force free give grant hold import increase
    install issue join kill limit list log look lower map migrate mount move notify open order patch
    ping plug power press print purge push put read reboot rebuild reconnect recreate register reinstall
    release relocate remove rename renew repair replace request requeue reseat resend reserve reset
    resize restart restore revert revoke rotate run schedule select send set shrink sign start stop
    swap switch sync take tell test told trim truncate try turn unblock unenrol uninstall unlink unlock
    unmount unplug unregister update upgrade use verify wait widen wipe
    """
) | {"rebuilt", "sent", "resent", "took", "gave", "ran", "found", "began"}
# "On RTM-FW01: …", "In Entra: …", "Fix: …", "Fix without VPN: …".
_DONE_THERE: Final = re.compile(
    r"^(?:(?:on|in|at)\s[^:]{1,40}|fix(?:ed)?\b[^:]{0,30}|solution|solved):", re.IGNORECASE
)
_FORBIDS: Final = re.compile(r"^(?:do\s+not|don['\u2019]t|never)\b", re.IGNORECASE)
_CAUSE_MARK: Final = re.compile(r"^(?:(?:root\s+)?causes?|reason)\s*:\s*", re.IGNORECASE)
_FIX_MARK: Final = re.compile(r"^(?:fix(?:ed)?|solution|solved)\s*:\s*", re.IGNORECASE)
_FIRST_WORD: Final = re.compile(r"[^\W\d_]+(?=[\s,.]|$)")
_CLAUSE: Final = re.compile(r"[:;]\s+")
_ASIDE: Final = re.compile(r"\([^()]*\)")
# "- SV", "MA" after the last word, as technicians sign.
_SIGNATURE: Final = re.compile(r"(?:(?<=[.!?)])|\s[-\u2013])\s*[A-Z][A-Za-z]{0,2}[A-Z]\s*$")
# "KB-017.", "See KB-024 step 5."
_REFERENCE: Final = re.compile(r"^(?:see\s+)?\(?[A-Z]{2,5}-?\d{1,6}\b[^.]{0,12}\)?\.?$", re.IGNORECASE)
_FEWEST_WORDS: Final = 3


@dataclass(frozen=True, slots=True)
class Resolution:
    cause: tuple[str, ...]
    fix: tuple[str, ...]


def read_resolution(text: str) -> Resolution:
    """Technicians write what was wrong first and what they did next; work logs follow after a blank line."""
    first, _, rest = text.strip().partition("\n\n")
    told = _telling(first) or _telling(rest)
    start = next((n for n, sentence in enumerate(told) if tells_action(sentence)), None)
    if start is None:
        # Nobody did anything by the sound of it: the first sentence says what it was, the others how it went.
        start = 1 if len(told) > 1 else 0
    cause = told[:start]
    marked = [sentence for sentence in cause if _CAUSE_MARK.match(sentence)]
    return Resolution(
        cause=tuple(_CAUSE_MARK.sub("", sentence) for sentence in marked or cause),
        fix=tuple(_FIX_MARK.sub("", sentence) for sentence in told[start:]),
    )


def tells_action(sentence: str) -> bool:
    """True for what was done, has to be done, or must not be done."""
    if _DONE_THERE.match(sentence) or _FORBIDS.match(sentence):
        return True
    clauses = _CLAUSE.split(_ASIDE.sub("", sentence))
    first_words = filter(None, map(_FIRST_WORD.match, clauses))
    return any(terms(word.group()) & _ACTIONS for word in first_words)


def _telling(text: str) -> list[str]:
    """The sentences that say something by themselves."""
    unsigned = _SIGNATURE.sub("", text.strip())
    return [
        sentence
        for sentence in sentences(unsigned)
        if len(sentence.split()) >= _FEWEST_WORDS
        and not _REFERENCE.match(sentence)
        and not sentence.endswith(":")
    ]
