"""What raises or lowers a ticket beyond its text."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from retrieval.ratings import Standing
from services.history.model import Candidate

_SAME_ASSET: Final = 1.15
_RESOLVED: Final = 1.05
_SAME_SITE: Final = 1.03
_SAME_ORGANISATION: Final = 1.03
_RECENT: Final = 0.03
_HALF_LIFE_DAYS: Final = 180.0
# After about 470 days.
_LEAST_RECENT: Final = 0.005
_MOST: Final = 1.4
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a question says beside its text, folded, and when it is asked."""

    assets: frozenset[str]
    site: str
    organisation: str
    now: datetime

    @classmethod
    def of(cls, *, assets: Iterable[str], site: str, organisation: str, now: datetime) -> Self:
        return cls(frozenset(map(_folded, assets)), _folded(site), _folded(organisation), now)


@dataclass(frozen=True, slots=True)
class Boosts:
    factor: float
    names: tuple[str, ...]


def boosts(candidate: Candidate, circumstances: Circumstances, standing: Standing) -> Boosts:
    """Multiply what applies; all together raise by 40 % at most. Nothing unknown counts, for or against."""
    recent = _recency(candidate.resolved or candidate.created, circumstances.now)
    applied = {
        "same_asset": _SAME_ASSET if any(_folded(a) in circumstances.assets for a in candidate.assets) else 1,
        "resolved": _RESOLVED if candidate.has_resolution else 1,
        "same_site": _SAME_SITE if _same(candidate.site, circumstances.site) else 1,
        "same_organisation": (
            _SAME_ORGANISATION if _same(candidate.organisation, circumstances.organisation) else 1
        ),
        "recent": 1 + recent if recent >= _LEAST_RECENT else 1,
    }
    if standing.boost is not None:
        applied[standing.boost] = standing.factor
    factor = 1.0
    for each in applied.values():
        factor *= each
    return Boosts(min(_MOST, factor), tuple(name for name, each in applied.items() if each != 1))


def least_lexical(score: float) -> float:
    """What a candidate's words must earn for every boost together to lift it to this score."""
    return score / _MOST


def _recency(moment: datetime | None, now: datetime) -> float:
    if moment is None:
        return 0.0
    age_days = max(0.0, (now - moment).total_seconds() / _DAY_SECONDS)
    return float(_RECENT * 0.5 ** (age_days / _HALF_LIFE_DAYS))


def _same(one: str, other_folded: str) -> bool:
    return bool(other_folded) and _folded(one) == other_folded


def _folded(name: str) -> str:
    return name.strip().casefold()
