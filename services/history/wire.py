"""Between the contract's messages and the model."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1 import past_ticket_pb2
from retrieval.relevance import Ranking
from services.history.boosts import Circumstances
from services.history.model import (
    DEFAULT_SOURCE,
    Similar,
    Source,
    Ticket,
    TicketId,
    TicketKey,
    TicketReference,
)
from services.history.ratings import Rating
from services.history.similar import Search
from services.history.store import Place
from services.runtime.errors import InvalidArgument
from services.runtime.importing import Broken, ImportReport, broken_rule
from services.runtime.paging import PageTokens

Time: TypeAlias = datetime | Broken | None

MAX_ROWS: Final = 500
_DEFAULT_RESULTS: Final = 5
_DEFAULT_PAGE: Final = 50
_NAMED_DUPLICATES: Final = 20
# PostgreSQL keeps no NUL in a text.
_NUL: Final = "\0"


def search_from(request: pb.SearchSimilarTicketsRequest, usual: Ranking, *, now: datetime) -> Search:
    """Read what is asked; `usual` is how the client is searched where the request does not say."""
    return Search(
        subject=request.subject,
        description=request.description,
        circumstances=Circumstances.of(
            assets=request.assets, site=request.site, organisation=request.organisation, now=now
        ),
        exclude=[reference_to(each.id, each.source) for each in request.exclude],
        limit=request.limit or _DEFAULT_RESULTS,
        ranking=Ranking(
            request.meaning_share if request.HasField("meaning_share") else usual.meaning_share,
            request.min_score if request.HasField("min_score") else usual.floor,
        ),
        grouped=not request.ungrouped,
    )


def rating_from(request: pb.RateTicketRequest) -> Rating:
    return Rating(
        id=_nameless(request.rating_id),
        revision=request.revision,
        ticket=TicketKey(Source(_nameless(request.source)), TicketId(_nameless(request.ticket_id))),
        helpful=request.helpful if request.HasField("helpful") else None,
        subject=request.subject,
        description=request.description,
    )


def reference_to(ticket_id: str, source: str) -> TicketReference:
    return TicketReference(TicketId(_nameless(ticket_id)), source_filter(source))


def source_filter(source: str) -> Source | None:
    return Source(_nameless(source)) if source else None


def page_size(request: pb.ListTicketsRequest) -> int:
    return request.page_size or _DEFAULT_PAGE


def place_from(tokens: PageTokens, page_token: str) -> Place | None:
    match tokens.decode(page_token):
        case ():
            return None
        case (str(created), str(source), str(ticket_id)) if _is_place(created, source, ticket_id):
            return Place(created, TicketKey(Source(source), TicketId(ticket_id)))
        case _:
            raise InvalidArgument("is not a page token", field="page_token")


def _is_place(created: str, *names: str) -> bool:
    """Anybody can make a token; PostgreSQL must be able to read what is in it."""
    if any(_NUL in name for name in names):
        return False
    try:
        return created == "-infinity" or datetime.fromisoformat(created).tzinfo is not None
    except ValueError:
        return False


def token_to(tokens: PageTokens, place: Place | None) -> str:
    return tokens.encode(place.created, place.key.source, place.key.id) if place else ""


def recorded_from(request: pb.RecordTicketRequest) -> Ticket:
    row = read_ticket(request.ticket, source=DEFAULT_SOURCE)
    if isinstance(row, Broken):
        raise InvalidArgument(row.reason, field=f"ticket.{row.field}")
    return row


async def batches_from(
    requests: AsyncIterator[pb.ImportTicketsRequest],
) -> AsyncIterator[Sequence[Ticket | Broken]]:
    source: Source | None = None
    async for request in requests:
        if len(request.tickets) > MAX_ROWS:
            raise InvalidArgument(
                f"a message has at most {MAX_ROWS} rows, this one {len(request.tickets)}", field="tickets"
            )
        source = source or Source(request.source or DEFAULT_SOURCE)
        yield [read_ticket(row, source=source) for row in request.tickets]


def read_ticket(row: past_ticket_pb2.PastTicket, *, source: Source) -> Ticket | Broken:
    """Read a row; `source` is where it is from unless it says otherwise."""
    title = _text(row.title)
    created, resolved = _time(row, "create_time"), _time(row, "resolve_time")
    broken = (
        broken_rule(row, row.id)
        or (Broken(row.id, "id", "must have no NUL character") if _NUL in row.id else None)
        or (None if title else Broken(row.id, "title", "must not be empty"))
        or next((each for each in (created, resolved) if isinstance(each, Broken)), None)
    )
    if broken or isinstance(created, Broken) or isinstance(resolved, Broken):
        return broken or Broken(row.id, "create_time", "is not a time")
    return Ticket(
        key=TicketKey(Source(row.source) if row.source else source, TicketId(row.id)),
        title=title,
        description=_text(row.description),
        resolution=_text(row.resolution),
        status=_text(row.status),
        category=_text(row.category),
        tags=tuple(map(_text, row.tags)),
        assets=tuple(map(_text, row.assets)),
        url=_text(row.url),
        created=created,
        resolved=resolved,
        site=_text(row.site),
        organisation=_text(row.organisation),
    )


def write_ticket(ticket: Ticket) -> past_ticket_pb2.PastTicket:
    message = past_ticket_pb2.PastTicket(
        id=ticket.key.id,
        source=ticket.key.source,
        title=ticket.title,
        description=ticket.description,
        resolution=ticket.resolution,
        status=ticket.status,
        category=ticket.category,
        tags=ticket.tags,
        assets=ticket.assets,
        url=ticket.url,
        site=ticket.site,
        organisation=ticket.organisation,
    )
    if ticket.created is not None:
        message.create_time.FromDatetime(ticket.created)
    if ticket.resolved is not None:
        message.resolve_time.FromDatetime(ticket.resolved)
    return message


def write_similar(similar: Similar) -> pb.SimilarTicket:
    return pb.SimilarTicket(
        ticket=write_ticket(similar.ticket),
        score=similar.ranked.score,
        explanation=pb.MatchExplanation(
            matched_terms=similar.matched,
            lexical_score=similar.ranked.lexical,
            semantic_score=similar.ranked.candidate.cosine,
            boosts=similar.ranked.boosts,
        ),
        duplicates=[
            pb.TicketReference(id=key.id, source=key.source) for key in similar.duplicates[:_NAMED_DUPLICATES]
        ],
        duplicate_count=len(similar.duplicates),
    )


def write_report(report: ImportReport) -> pb.ImportTicketsResponse:
    return pb.ImportTicketsResponse(
        created_count=report.created,
        updated_count=report.updated,
        unchanged_count=report.unchanged,
        rejected_count=report.rejected,
        rejected=[
            pb.RejectedTicket(
                row=each.row, id=each.broken.id, field=each.broken.field, reason=each.broken.reason
            )
            for each in report.first_rejected
        ],
    )


def _time(row: past_ticket_pb2.PastTicket, field: Literal["create_time", "resolve_time"]) -> Time:
    if not row.HasField(field):
        return None
    value: Timestamp = getattr(row, field)
    try:
        return value.ToDatetime(UTC)
    except ValueError:
        return Broken(row.id, field, "is not a time")


def _nameless(name: str) -> str:
    """Nothing is called by a name with a NUL in it, and PostgreSQL must not be asked."""
    return name.replace(_NUL, "\ufffd")


def _text(value: str) -> str:
    return value.replace(_NUL, "")
