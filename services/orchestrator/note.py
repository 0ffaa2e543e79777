"""Renders a brief as the note a technician reads, in the tool's format."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from dossier.context.v1.evidence_pb2 import SourceReport
from dossier.synthesis.v1.brief_pb2 import (
    CONFIDENCE_HIGH,
    CONFIDENCE_LOW,
    CONFIDENCE_MEDIUM,
    SECTION_KIND_FIRST_STEPS,
    SECTION_KIND_KNOWLEDGE,
    SECTION_KIND_NETWORK,
    SECTION_KIND_PROBABLE_CAUSES,
    SECTION_KIND_SIMILAR_TICKETS,
    VERDICT_PARTIAL,
    WRITER_LLM,
    Brief,
    Citation,
    Confidence,
    SectionKind,
)
from services.orchestrator.model import Enhancement
from ticketing.contract import NoteFormat

_HEADINGS: Final[Mapping["SectionKind.ValueType", str]] = {
    SECTION_KIND_SIMILAR_TICKETS: "Similar tickets",
    SECTION_KIND_KNOWLEDGE: "Knowledge",
    SECTION_KIND_NETWORK: "Network",
    SECTION_KIND_PROBABLE_CAUSES: "Probable causes",
    SECTION_KIND_FIRST_STEPS: "First steps",
}
_CONFIDENCE: Final[Mapping["Confidence.ValueType", str]] = {
    CONFIDENCE_LOW: "low",
    CONFIDENCE_MEDIUM: "medium",
    CONFIDENCE_HIGH: "high",
}

_NOTHING_SIMILAR: Final = (
    "Nothing similar found in this client's history, knowledge base and network inventory."
)
_NOTHING_WANTED: Final = "Nothing found for the sections that this client's briefs have."


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    numbers: tuple[int, ...]
    """Of the sources it rests on."""
    partial: bool


@dataclass(frozen=True, slots=True)
class Part:
    heading: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Source:
    number: int
    name: str
    title: str
    url: str
    """Empty unless it is http or https: a link is clicked by people who trust the note."""


class Notes:
    def __init__(self, *, public_url: str | None) -> None:
        self._public_url = public_url.rstrip("/") if public_url else None
        loader = PackageLoader("services.orchestrator", "templates")
        # Nothing in plain text is read as markup, so nothing is escaped there.
        common = functools.partial(
            Environment, loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates = {
            "html": common(autoescape=True).get_template("note.html.j2"),
            "text": common(autoescape=False).get_template("note.txt.j2"),
        }

    def render(self, enhancement: Enhancement, note_format: NoteFormat) -> str:
        """The note's body without its marker, which the adapter adds."""
        answer = enhancement.answer
        if answer is None:
            raise AssertionError("a note is rendered after its brief is written")
        brief = answer.brief
        numbers = {citation.evidence_id: number for number, citation in enumerate(brief.citations, start=1)}
        details = f"{self._public_url}/v1/enhancements/{enhancement.run.id}" if self._public_url else ""
        return self._templates[note_format].render(
            parts=_parts(brief, numbers),
            sources=[_source(number, each) for number, each in enumerate(brief.citations, start=1)],
            nothing=_nothing(enhancement) if brief.nothing_similar else "",
            unavailable=_unavailable(enhancement, brief),
            confidence=_CONFIDENCE.get(brief.confidence, "low"),
            writer=answer.usage.model if brief.writer == WRITER_LLM else "built-in writer",
            fallback_reason=_line(brief.fallback_reason),
            details=details,
        )


def _nothing(enhancement: Enhancement) -> str:
    """What was looked for and is not there: a client may want a part only of what there might be."""
    inputs = enhancement.inputs
    return _NOTHING_WANTED if inputs is not None and inputs.options.sections else _NOTHING_SIMILAR


def _parts(brief: Brief, numbers: Mapping[str, int]) -> list[Part]:
    return [
        Part(
            _HEADINGS[section.kind],
            tuple(
                Line(
                    _line(claim.text),
                    tuple(numbers[each] for each in claim.evidence_ids if each in numbers),
                    partial=claim.verdict == VERDICT_PARTIAL,
                )
                for claim in section.claims
            ),
        )
        for section in brief.sections
        if section.kind in _HEADINGS and section.claims
    ]


def _source(number: int, citation: Citation) -> Source:
    return Source(
        number,
        name=f"{citation.source} {citation.id}",
        title=_line(citation.title),
        url=citation.url if urlsplit(citation.url).scheme in {"http", "https"} else "",
    )


def _unavailable(enhancement: Enhancement, brief: Brief) -> Sequence[str]:
    """As the brief says, or as the sources were reported where it does not."""
    reports: Sequence[SourceReport] = brief.unavailable_sources
    if not reports and enhancement.inputs is not None:
        reports = [report for report in enhancement.inputs.sources if report.detail]
    return [f"{report.source}: {report.detail}" for report in reports]


def _line(text: str) -> str:
    return " ".join(text.split())
