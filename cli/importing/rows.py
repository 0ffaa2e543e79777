"""What comes out of a file: rows with the place they stand at, and what is wrong with a row."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["jsonl", "csv", "documents"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands, for whoever has to mend it."""

    row: int
    """Its position among the rows, from 1."""
    line: int | None = None
    file: str | None = None

    def __str__(self) -> str:
        return self.file or f"line {self.line}"


@dataclass(frozen=True, slots=True)
class Row:
    place: Place
    values: Mapping[str, object]
    """By the import format's field names; what is absent is empty."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that is left out, and the first reason."""

    place: Place
    id: str
    field: str
    reason: str


@dataclass(slots=True)
class Unknown:
    """Columns that no field takes; the first hundred are told."""

    names: dict[str, None] = field(default_factory=dict)

    def note(self, name: str) -> None:
        if len(self.names) < 100:
            self.names[name] = None


@dataclass(frozen=True, slots=True)
class Rows:
    """A file, opened and understood; iterating reads on, so it is done once."""

    format: Format
    each: Iterator[Row | Rejection]
    total: int | None
    """How many lines or files of rows there are; None when that cannot be known before."""
    unknown: Unknown
    mapping: Mapping[str, str]
    """Which of their columns fills which field."""
    before: int = 0
    """Lines ahead of the first row."""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """By suffix, the files of a folder that are of no kind that is read."""
