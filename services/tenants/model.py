"""Clients, their secrets and their keys."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, NewType, Self

TenantId = NewType("TenantId", str)

OPERATOR: Final = TenantId("-")
"""In place of a client, whose own the provider's keys and audit log are. No client can be called so."""

_API_KEY_PREFIX: Final = "dsk_"
_RANDOM_BYTES: Final = 32


def tenant_id(text: str) -> TenantId:
    # PostgreSQL's text has no NUL: a name with one is nobody's, and is asked for as such.
    return TenantId(text.replace("\0", "\ufffd"))


class TenantState(Enum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETING = "deleting"


class Role(Enum):
    ADMIN = "admin"
    OPERATOR = "operator"
    TECHNICIAN = "technician"
    VIEWER = "viewer"


class SecretKind(Enum):
    WEBHOOK = "webhook"
    TICKETING = "ticketing"
    KNOWLEDGE_BASES = "knowledge_bases"
    """Of all of them together, by their names."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret in the clear. It shows itself to nobody who does not ask."""

    _value: bytes = field(repr=False)

    @classmethod
    def random(cls, prefix: str = "") -> Self:
        """Text that may stand in a header or an address."""
        return cls((prefix + secrets.token_urlsafe(_RANDOM_BYTES)).encode())

    @classmethod
    def api_key(cls) -> Self:
        return cls.random(_API_KEY_PREFIX)

    def reveal(self) -> bytes:
        return self._value

    def digest(self) -> bytes:
        """What is kept of a secret that only has to be recognised.

        A plain hash is enough for 32 random bytes: there is nothing to guess.
        """
        return hashlib.sha256(self._value).digest()


@dataclass(frozen=True, slots=True)
class Ticketing:
    tool: str
    base_url: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


class Section(Enum):
    SIMILAR_TICKETS = "similar_tickets"
    KNOWLEDGE = "knowledge"
    NETWORK = "network"
    PROBABLE_CAUSES = "probable_causes"
    FIRST_STEPS = "first_steps"


@dataclass(frozen=True, slots=True)
class BriefSettings:
    """Empty and 0 mean the default."""

    language: str = ""
    model: str = ""
    max_words: int = 0
    sections: tuple[Section, ...] = ()
    instructions: str = ""


class NoteVisibility(Enum):
    PRIVATE = "private"
    NOT_POSTED = "not_posted"


class QueueWeight(Enum):
    STANDARD = "standard"
    PREFERRED = "preferred"
    PREMIUM = "premium"


@dataclass(frozen=True, slots=True)
class QueueSettings:
    weight: QueueWeight = QueueWeight.STANDARD
    max_in_progress: int = 0
    """0 means the installation's default."""


@dataclass(frozen=True, slots=True)
class ContextSource:
    name: str
    target: str
    deadline_ms: int = 0


@dataclass(frozen=True, slots=True)
class Retention:
    """In days; 0 means the default."""

    ticket_days: int = 0
    run_days: int = 0
    ledger_days: int = 0
    audit_days: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """In a minute; None is as the gateways are set, 0 no limit."""

    requests_per_minute: int | None = None
    body_bytes_per_minute: int | None = None
    import_rows_per_minute: int | None = None
    webhooks_per_minute: int | None = None
    webhook_bytes_per_minute: int | None = None

    @property
    def own(self) -> Mapping[str, int]:
        """Those that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Budget:
    """In millionths of a US dollar; None is no limit, 0 no language model at all."""

    month_micro_dollars: int | None = None
    day_micro_dollars: int | None = None
    brief_micro_dollars: int | None = None

    @property
    def own(self) -> Mapping[str, int]:
        """Those that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Ranking:
    """None is as calibrated."""

    meaning_share: float | None = None
    floor: float | None = None

    @property
    def own(self) -> Mapping[str, float]:
        """What is set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """How a client's past tickets and articles are searched."""

    tickets: Ranking = Ranking()
    articles: Ranking = Ranking()

    @property
    def own(self) -> Mapping[str, Mapping[str, float]]:
        """What is set."""
        kinds = {"tickets": self.tickets.own, "articles": self.articles.own}
        return {kind: ranking for kind, ranking in kinds.items() if ranking}


class KnowledgeBaseMode(Enum):
    SYNC = "sync"
    SEARCH = "search"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """0 means the default."""

    name: str
    connector: str
    base_url: str
    options: Mapping[str, str] = field(default_factory=dict)
    mode: KnowledgeBaseMode = KnowledgeBaseMode.SYNC
    sync_minutes: int = 0
    deadline_ms: int = 0
    paused: bool = False


@dataclass(frozen=True, slots=True)
class NewTenant:
    id: TenantId
    display_name: str
    ticketing: Ticketing
    brief: BriefSettings
    sources: tuple[ContextSource, ...]
    retention: Retention
    limits: Limits
    note_visibility: NoteVisibility = NoteVisibility.PRIVATE
    queue: QueueSettings = QueueSettings()
    budget: Budget = Budget()
    retrieval: RetrievalSettings = RetrievalSettings()
    knowledge_bases: tuple[KnowledgeBase, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant(NewTenant):
    state: TenantState
    create_time: datetime
    update_time: datetime
    version: int
    """Counts the changes."""
    revision: int
    """Counts those of the settings."""

    @property
    def etag(self) -> str:
        return str(self.version)

    @property
    def served(self) -> bool:
        return self.state is TenantState.ACTIVE


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    id: str
    secret: Secret
    expire_time: datetime | None


@dataclass(frozen=True, slots=True)
class WebhookSecretVersion:
    """What is told of a webhook secret."""

    id: str
    version: int
    create_time: datetime
    expire_time: datetime | None
    last_used_time: datetime | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: enough to recognise it, not to use it."""

    id: str
    hash: bytes
    role: Role
    display_name: str = ""
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeptApiKey:
    """What is told of a key."""

    id: str
    role: Role
    display_name: str
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None
    last_used_time: datetime | None


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who an API key belongs to; an operator's key has no tenant."""

    key_id: str
    tenant: TenantId | None
    role: Role


class EvaluatedKind(Enum):
    TICKETS = "tickets"
    ARTICLES = "articles"


class EvaluationBasis(Enum):
    JUDGEMENTS = "judgements"
    OWN_TICKETS = "own_tickets"


@dataclass(frozen=True, slots=True)
class Measure:
    """A mean, and the interval it lies in."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good the search of a client was found to be, and with what it was searched."""

    kind: EvaluatedKind
    basis: EvaluationBasis
    query_count: int
    unanswerable_count: int
    meaning_share: float
    floor: float
    measures: Mapping[str, Measure]


@dataclass(frozen=True, slots=True)
class KeptEvaluation:
    id: str
    create_time: datetime
    evaluation: Evaluation
