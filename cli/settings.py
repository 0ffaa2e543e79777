"""A client's settings that are one of several words, and their names in the contract."""

from collections.abc import Sequence
from enum import StrEnum

from cli.errors import UsageError
from cli.words import value_of
from dossier.orchestrator.v1.queue_pb2 import QueueWeight
from dossier.synthesis.v1.brief_pb2 import SectionKind
from dossier.tenants.v1.tenant_pb2 import NoteVisibility, Tenant


class Weight(StrEnum):
    STANDARD = "standard"
    PREFERRED = "preferred"
    PREMIUM = "premium"


class Section(StrEnum):
    SIMILAR_TICKETS = "similar_tickets"
    KNOWLEDGE = "knowledge"
    NETWORK = "network"
    PROBABLE_CAUSES = "probable_causes"
    FIRST_STEPS = "first_steps"


class Visibility(StrEnum):
    PRIVATE = "private"
    NOT_POSTED = "not_posted"


def sections_of(given: Sequence[Section] | None, *, everything: bool) -> Sequence[Section] | None:
    """None where nothing is said of them; all of them is how it is without any."""
    if given and everything:
        raise UsageError("Which sections?", hint="Give --section or --all-sections, not both.")
    return [] if everything else given or None


def set_words(
    new: Tenant, *, sections: Sequence[Section] | None, notes: Visibility | None, weight: Weight | None
) -> list[str]:
    """Write those that are given, and name their paths."""
    paths = []
    if sections is not None:
        new.brief.sections.extend(
            SectionKind.ValueType(value_of(SectionKind.DESCRIPTOR, each)) for each in sections
        )
        paths.append("brief.sections")
    if notes is not None:
        new.note.visibility = NoteVisibility.ValueType(value_of(NoteVisibility.DESCRIPTOR, notes))
        paths.append("note.visibility")
    if weight is not None:
        new.queue.weight = QueueWeight.ValueType(value_of(QueueWeight.DESCRIPTOR, weight))
        paths.append("queue.weight")
    return paths
