"""What Dossier knows of a page, whichever knowledge base it is in."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A page by its id, and when it last changed; where that is not known it is read each time.

    `url` and `labels` may change without it; None where the listing does not tell.
    """

    id: str
    updated: datetime | None
    url: str | None = None
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`html` is what a reader sees, its links relative to `url` or whole; `url` is for a person."""

    id: str
    title: str
    html: str
    url: str
    labels: tuple[str, ...]
    updated: datetime | None
