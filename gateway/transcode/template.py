"""Path templates of `google.api.http`: `/v1/tickets/{ticket_id}`, `/v1/prefixes/{prefix=**}`, `/v1/a:do`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

_VARIABLE: Final = re.compile(r"\{([a-z0-9_.]+)(?:=([^}]+))?\}")
_WILDCARD: Final = re.compile(r"(\*\*|\*)")
_EXPRESSIONS: Final = {"*": "[^/]+", "**": ".+"}


@dataclass(frozen=True, slots=True)
class PathTemplate:
    text: str
    variables: tuple[str, ...]
    pattern: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> "PathTemplate":
        variables: list[str] = []
        expression = ""
        end = 0
        for variable in _VARIABLE.finditer(text):
            variables.append(variable[1])
            expression += _expression(text[end : variable.start()]) + f"({_expression(variable[2] or '*')})"
            end = variable.end()
        return cls(text, tuple(variables), re.compile(expression + _expression(text[end:])))

    @property
    def plain(self) -> str:
        """The template with bare variables, as OpenAPI writes it."""
        return _VARIABLE.sub(r"{\1}", self.text)

    @property
    def looseness(self) -> tuple[bool, int, bool]:
        """Sorts what matches less before what matches more: a verb before none, `*` before `**`."""
        last = self.text.rpartition("/")[2]
        return "**" in self.text, len(self.variables), ":" not in _VARIABLE.sub("", last)

    def match(self, raw_path: str) -> Mapping[str, str] | None:
        """The variables, decoded; an encoded slash belongs to its segment.

        Raises `UnicodeDecodeError` where the decoded bytes are no text.
        """
        found = self.pattern.fullmatch(raw_path)
        if found is None:
            return None
        values = (unquote(value, errors="strict") for value in found.groups())
        return dict(zip(self.variables, values, strict=True))


def _expression(part: str) -> str:
    return "".join(_EXPRESSIONS.get(piece) or re.escape(piece) for piece in _WILDCARD.split(part))
