"""Keeping past tickets: record, import, read, list, delete."""

import asyncio
from collections.abc import Awaitable

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1.past_ticket_pb2 import PastTicket
from services.runtime.errors import error_info, status_of
from services.runtime.paging import PageTokens
from tests.history.client import Client


async def refusal(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value


def reason(error: grpc.aio.AioRpcError) -> str:
    info = error_info(error)
    assert info is not None
    return str(info.reason)


def counts(report: pb.ImportTicketsResponse) -> tuple[int, int, int, int]:
    return report.created_count, report.updated_count, report.unchanged_count, report.rejected_count


def full_ticket() -> PastTicket:
    return PastTicket(
        id="10241",
        source="servicedesk_plus",
        title="Printer offline",
        description="The printer on floor 2 is offline.\nSince this morning.",
        resolution="Restarted the spooler.",
        status="Closed",
        category="Printing",
        tags=["printer", "spooler"],
        assets=["PRN-02"],
        url="https://desk.example/10241",
        create_time=Timestamp(seconds=1_700_000_000, nanos=123_456_000),
        resolve_time=Timestamp(seconds=1_700_003_600),
    )


async def test_a_recorded_ticket_is_read_back_as_it_was_sent(acme: Client) -> None:
    ticket = full_ticket()

    recorded = await acme.record(ticket)

    assert recorded.created
    assert recorded.ticket == ticket
    assert await acme.get("10241") == ticket
    assert await acme.get("10241", "servicedesk_plus") == ticket


async def test_the_same_ticket_recorded_twice_is_one_and_keeps_the_last_text(acme: Client) -> None:
    await acme.record(PastTicket(id="1", title="Printer offline"))

    again = await acme.record(PastTicket(id="1", title="Printer on fire"))

    assert not again.created
    listed = await acme.list_(pb.ListTicketsRequest())
    assert [ticket.title for ticket in listed.tickets] == ["Printer on fire"]
    assert await acme.found("printer offline since morning") == []


async def test_a_ticket_without_a_source_is_from_an_import(acme: Client) -> None:
    await acme.record(PastTicket(id="1", title="Printer offline"))

    assert (await acme.get("1")).source == "import"


async def test_the_same_id_from_two_sources_is_two_tickets(acme: Client) -> None:
    await acme.record(PastTicket(id="1", source="jira", title="From Jira"))
    await acme.record(PastTicket(id="1", source="zendesk", title="From Zendesk"))

    assert (await acme.get("1", "zendesk")).title == "From Zendesk"
    assert len((await acme.list_(pb.ListTicketsRequest())).tickets) == 2
    only = await acme.list_(pb.ListTicketsRequest(source="jira"))
    assert [ticket.title for ticket in only.tickets] == ["From Jira"]


async def test_an_unknown_ticket_is_not_found(acme: Client) -> None:
    await acme.record(PastTicket(id="1", title="Printer offline"))

    calls = (acme.get("2"), acme.get("1", "jira"), acme.get("\0"), acme.delete("2"), acme.delete("1", "jira"))
    for call in calls:
        error = await refusal(call)
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert reason(error) == "TICKET_NOT_FOUND"
    info = error_info(await refusal(acme.get("2")))
    assert info is not None
    assert info.metadata["ticket_id"] == "2"
    assert info.domain == "history.dossier"


async def test_a_deleted_ticket_is_neither_read_nor_found(acme: Client) -> None:
    await acme.record(PastTicket(id="1", source="jira", title="Toner leaking over the paper tray"))
    await acme.record(PastTicket(id="1", source="zendesk", title="Toner leaking over the paper tray"))

    await acme.delete("1", "jira")
    assert len(await acme.found("Toner leaking over the paper tray")) == 1

    await acme.delete("1")
    assert await acme.found("Toner leaking over the paper tray") == []
    assert reason(await refusal(acme.get("1"))) == "TICKET_NOT_FOUND"


async def test_an_import_counts_what_is_new_changed_known_and_broken(acme: Client) -> None:
    first = await acme.import_(PastTicket(id="1", title="One"), PastTicket(id="2", title="Two"))
    assert counts(first) == (2, 0, 0, 0)

    second = await acme.import_(
        PastTicket(id="1", title="One"),
        PastTicket(id="2", title="Two, changed"),
        PastTicket(id="3", title="Three"),
        PastTicket(id="4"),
    )

    assert counts(second) == (1, 1, 1, 1)


async def test_broken_rows_are_rejected_by_themselves_with_field_and_reason(acme: Client) -> None:
    report = await acme.stream(
        [
            pb.ImportTicketsRequest(tickets=[PastTicket(id="1", title="Fine"), PastTicket(title="No id")]),
            pb.ImportTicketsRequest(
                tickets=[
                    PastTicket(id="2"),
                    PastTicket(id="a b", title="Blank in the id"),
                    PastTicket(id="3", title="Also fine"),
                    PastTicket(id="4", title="x" * 4097),
                    PastTicket(id="5", title="Tagged", tags=["x"] * 65),
                    PastTicket(id="6", title="Late", create_time=Timestamp(seconds=10**15)),
                    PastTicket(id="7", title="Early", resolve_time=Timestamp(seconds=-(10**15))),
                    PastTicket(id="8\0", title="NUL in the id"),
                    PastTicket(id="9", title="\0"),
                    PastTicket(id="10", title="Odd source", source="No Good"),
                ]
            ),
        ]
    )

    assert counts(report) == (2, 0, 0, 10)
    assert [(each.row, each.id, each.field) for each in report.rejected] == [
        (2, "", "id"),
        (3, "2", "title"),
        (4, "a b", "id"),
        (6, "4", "title"),
        (7, "5", "tags"),
        (8, "6", "create_time"),
        (9, "7", "resolve_time"),
        (10, "8\0", "id"),
        (11, "9", "title"),
        (12, "10", "source"),
    ]
    assert all(each.reason for each in report.rejected)
    assert {ticket.id for ticket in (await acme.list_(pb.ListTicketsRequest())).tickets} == {"1", "3"}


async def test_only_the_first_hundred_rejections_are_listed(acme: Client) -> None:
    rows = [PastTicket(id=str(number)) for number in range(150)]

    report = await acme.stream(
        [pb.ImportTicketsRequest(tickets=rows[:80]), pb.ImportTicketsRequest(tickets=rows[80:])]
    )

    assert report.rejected_count == 150
    assert [each.row for each in report.rejected] == list(range(1, 101))


async def test_the_last_of_several_rows_with_one_id_holds(acme: Client) -> None:
    report = await acme.import_(
        PastTicket(id="1", title="First"),
        PastTicket(id="1", title="First"),
        PastTicket(id="1", title="Last"),
    )

    assert counts(report) == (1, 1, 1, 0)
    assert (await acme.get("1")).title == "Last"


async def test_the_first_messages_source_holds_for_the_stream(acme: Client) -> None:
    await acme.stream(
        [
            pb.ImportTicketsRequest(source="zendesk", tickets=[PastTicket(id="1", title="One")]),
            pb.ImportTicketsRequest(source="jira", tickets=[PastTicket(id="2", title="Two")]),
            pb.ImportTicketsRequest(tickets=[PastTicket(id="3", source="own", title="Three")]),
        ]
    )

    sources = {ticket.id: ticket.source for ticket in (await acme.list_(pb.ListTicketsRequest())).tickets}
    assert sources == {"1": "zendesk", "2": "zendesk", "3": "own"}


async def test_a_message_with_too_many_rows_ends_the_import_and_keeps_what_came_before(acme: Client) -> None:
    many = [PastTicket(id=f"many-{number}", title="Row") for number in range(501)]

    error = await refusal(
        acme.stream(
            [
                pb.ImportTicketsRequest(tickets=[PastTicket(id="1", title="Kept")]),
                pb.ImportTicketsRequest(tickets=many),
            ]
        )
    )

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = status_of(error)
    assert status is not None
    assert "tickets" in str(status.details)
    assert [ticket.id for ticket in (await acme.list_(pb.ListTicketsRequest())).tickets] == ["1"]


async def test_an_empty_import_takes_in_nothing(acme: Client) -> None:
    assert counts(await acme.stream([])) == (0, 0, 0, 0)
    assert counts(await acme.import_()) == (0, 0, 0, 0)


async def test_nul_characters_are_left_out_of_texts(acme: Client) -> None:
    await acme.record(PastTicket(id="1", title="Prin\0ter", description="off\0line", tags=["a\0b"]))

    ticket = await acme.get("1")

    assert (ticket.title, ticket.description, list(ticket.tags)) == ("Printer", "offline", ["ab"])


async def test_a_ticket_that_breaks_a_rule_is_refused_with_its_field(acme: Client) -> None:
    broken = {
        "ticket.title": PastTicket(id="1"),
        "ticket.id": PastTicket(id="1\0", title="NUL in the id"),
        "ticket.create_time": PastTicket(id="1", title="Late", create_time=Timestamp(seconds=10**15)),
    }
    for field, ticket in broken.items():
        error = await refusal(acme.record(ticket))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert field in str(status_of(error))


async def test_pages_hold_every_ticket_once_the_latest_created_first(acme: Client) -> None:
    rows = [
        PastTicket(id=f"{number:02}", title="Row", create_time=Timestamp(seconds=1000 + number // 3))
        for number in range(20)
    ]
    undated = [PastTicket(id=f"undated-{number}", title="Row") for number in range(5)]
    await acme.import_(*rows, *undated)

    seen: list[PastTicket] = []
    token = ""
    pages = 0
    while pages == 0 or token:
        page = await acme.list_(pb.ListTicketsRequest(page_size=4, page_token=token))
        seen += page.tickets
        token = page.next_page_token
        pages += 1

    assert pages == 7
    assert len({ticket.id for ticket in seen}) == len(seen) == 25
    times = [ticket.create_time.seconds for ticket in seen]
    assert times == sorted(times, reverse=True)
    assert all(ticket.id.startswith("undated") for ticket in seen[-5:])


async def test_a_page_token_of_another_list_is_refused(acme: Client, globex: Client) -> None:
    await acme.import_(*(PastTicket(id=str(number), title="Row") for number in range(3)))
    token = (await acme.list_(pb.ListTicketsRequest(page_size=1))).next_page_token

    for call in (
        acme.list_(pb.ListTicketsRequest(page_token=token, source="jira")),
        acme.list_(pb.ListTicketsRequest(page_token="nonsense")),
        globex.list_(pb.ListTicketsRequest(page_token=token)),
    ):
        error = await refusal(call)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "page_token" in str(status_of(error))


async def test_a_forged_page_token_is_refused(acme: Client) -> None:
    tokens = PageTokens("ListTickets", "acme")
    for key in (("yesterday", "import", "1"), ("-infinity", "a\0", "1"), ("2025-01-01",), (1, 2, 3)):
        error = await refusal(acme.list_(pb.ListTicketsRequest(page_token=tokens.encode(*key))))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_writers_of_one_client_at_once_neither_fail_nor_miscount(acme: Client) -> None:
    rows = [PastTicket(id=str(at), title=f"Row {at} about matter{at % 7}") for at in range(60)]
    shuffled = [rows[start:] + rows[:start] for start in range(0, 60, 10)]

    reports = await asyncio.gather(*(acme.import_(*each) for each in shuffled))

    assert sum(report.created_count for report in reports) == 60
    assert sum(report.unchanged_count for report in reports) == 5 * 60
    alone = await acme.search(pb.SearchSimilarTicketsRequest(subject="matter3", min_score=0, limit=100))
    assert len(alone) == len([at for at in range(60) if at % 7 == 3])
