"""Keeping past articles: record, import, read, list, delete."""

from collections.abc import Awaitable

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.article_pb2 import Article
from services.runtime.errors import error_info, status_of
from services.runtime.paging import PageTokens
from tests.knowledge.client import Client


async def refusal(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value


def reason(error: grpc.aio.AioRpcError) -> str:
    info = error_info(error)
    assert info is not None
    return str(info.reason)


def counts(report: pb.ImportArticlesResponse) -> tuple[int, int, int, int]:
    return report.created_count, report.updated_count, report.unchanged_count, report.rejected_count


def full_article() -> Article:
    return Article(
        id="KB-1",
        source="sharepoint",
        title="Printer offline",
        body="# Symptoms\n\nThe printer is *offline*.",
        url="https://kb.example/1",
        tags=["printer", "spooler"],
        update_time=Timestamp(seconds=1_700_000_000, nanos=123_456_000),
    )


async def test_a_recorded_article_is_read_back_as_it_was_sent(acme: Client) -> None:
    article = full_article()

    recorded = await acme.record(article)

    assert recorded.created
    assert recorded.article == article
    assert await acme.get("KB-1") == article
    assert await acme.get("KB-1", "sharepoint") == article


async def test_the_same_article_recorded_twice_is_one_and_keeps_the_last_text(acme: Client) -> None:
    await acme.record(Article(id="1", title="Printer offline"))

    again = await acme.record(Article(id="1", title="Printer on fire"))

    assert not again.created
    listed = await acme.list_(pb.ListArticlesRequest())
    assert [article.title for article in listed.articles] == ["Printer on fire"]
    assert await acme.found("printer offline since morning") == []


async def test_a_article_without_a_source_is_from_an_import(acme: Client) -> None:
    await acme.record(Article(id="1", title="Printer offline"))

    assert (await acme.get("1")).source == "import"


async def test_the_same_id_from_two_sources_is_two_articles(acme: Client) -> None:
    await acme.record(Article(id="1", source="jira", title="From Jira"))
    await acme.record(Article(id="1", source="zendesk", title="From Zendesk"))

    assert (await acme.get("1", "zendesk")).title == "From Zendesk"
    assert len((await acme.list_(pb.ListArticlesRequest())).articles) == 2


async def test_an_unknown_article_is_not_found(acme: Client) -> None:
    await acme.record(Article(id="1", title="Printer offline"))

    calls = (acme.get("2"), acme.get("1", "jira"), acme.get("\0"), acme.delete("2"), acme.delete("1", "jira"))
    for call in calls:
        error = await refusal(call)
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert reason(error) == "ARTICLE_NOT_FOUND"
    info = error_info(await refusal(acme.get("2")))
    assert info is not None
    assert info.metadata["article_id"] == "2"
    assert info.domain == "knowledge.dossier"


async def test_a_deleted_article_is_neither_read_nor_found(acme: Client) -> None:
    await acme.record(Article(id="1", source="jira", title="Toner leaking over the paper tray"))
    await acme.record(Article(id="1", source="zendesk", title="Toner leaking over the paper tray"))

    await acme.delete("1", "jira")
    assert len(await acme.found("Toner leaking over the paper tray")) == 1

    await acme.delete("1")
    assert await acme.found("Toner leaking over the paper tray") == []
    assert reason(await refusal(acme.get("1"))) == "ARTICLE_NOT_FOUND"


async def test_an_import_counts_what_is_new_changed_known_and_broken(acme: Client) -> None:
    first = await acme.import_(Article(id="1", title="One"), Article(id="2", title="Two"))
    assert counts(first) == (2, 0, 0, 0)

    second = await acme.import_(
        Article(id="1", title="One"),
        Article(id="2", title="Two, changed"),
        Article(id="3", title="Three"),
        Article(id="4"),
    )

    assert counts(second) == (1, 1, 1, 1)


async def test_broken_rows_are_rejected_by_themselves_with_field_and_reason(acme: Client) -> None:
    report = await acme.stream(
        [
            pb.ImportArticlesRequest(articles=[Article(id="1", title="Fine"), Article(title="No id")]),
            pb.ImportArticlesRequest(
                articles=[
                    Article(id="2"),
                    Article(id="a b", title="Blank in the id"),
                    Article(id="3", title="Also fine"),
                    Article(id="4", title="x" * 4097),
                    Article(id="5", title="Tagged", tags=["x"] * 65),
                    Article(id="6", title="Late", update_time=Timestamp(seconds=10**15)),
                    Article(id="8\0", title="NUL in the id"),
                    Article(id="9", title="\0"),
                    Article(id="10", title="Odd source", source="No Good"),
                ]
            ),
        ]
    )

    assert counts(report) == (2, 0, 0, 9)
    assert [(each.row, each.id, each.field) for each in report.rejected] == [
        (2, "", "id"),
        (3, "2", "title"),
        (4, "a b", "id"),
        (6, "4", "title"),
        (7, "5", "tags"),
        (8, "6", "update_time"),
        (9, "8\0", "id"),
        (10, "9", "title"),
        (11, "10", "source"),
    ]
    assert all(each.reason for each in report.rejected)
    assert {article.id for article in (await acme.list_(pb.ListArticlesRequest())).articles} == {"1", "3"}


async def test_only_the_first_hundred_rejections_are_listed(acme: Client) -> None:
    rows = [Article(id=str(number)) for number in range(150)]

    report = await acme.stream(
        [pb.ImportArticlesRequest(articles=rows[:80]), pb.ImportArticlesRequest(articles=rows[80:])]
    )

    assert report.rejected_count == 150
    assert [each.row for each in report.rejected] == list(range(1, 101))


async def test_the_last_of_several_rows_with_one_id_holds(acme: Client) -> None:
    report = await acme.import_(
        Article(id="1", title="First"),
        Article(id="1", title="First"),
        Article(id="1", title="Last"),
    )

    assert counts(report) == (1, 1, 1, 0)
    assert (await acme.get("1")).title == "Last"


async def test_the_first_messages_source_holds_for_the_stream(acme: Client) -> None:
    await acme.stream(
        [
            pb.ImportArticlesRequest(source="zendesk", articles=[Article(id="1", title="One")]),
            pb.ImportArticlesRequest(source="jira", articles=[Article(id="2", title="Two")]),
            pb.ImportArticlesRequest(articles=[Article(id="3", source="own", title="Three")]),
        ]
    )

    sources = {
        article.id: article.source for article in (await acme.list_(pb.ListArticlesRequest())).articles
    }
    assert sources == {"1": "zendesk", "2": "zendesk", "3": "own"}


async def test_a_message_with_too_many_rows_ends_the_import_and_keeps_what_came_before(acme: Client) -> None:
    many = [Article(id=f"many-{number}", title="Row") for number in range(101)]

    error = await refusal(
        acme.stream(
            [
                pb.ImportArticlesRequest(articles=[Article(id="1", title="Kept")]),
                pb.ImportArticlesRequest(articles=many),
            ]
        )
    )

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = status_of(error)
    assert status is not None
    assert "articles" in str(status.details)
    assert [article.id for article in (await acme.list_(pb.ListArticlesRequest())).articles] == ["1"]


async def test_an_empty_import_takes_in_nothing(acme: Client) -> None:
    assert counts(await acme.stream([])) == (0, 0, 0, 0)
    assert counts(await acme.import_()) == (0, 0, 0, 0)


async def test_nul_characters_are_left_out_of_texts(acme: Client) -> None:
    await acme.record(Article(id="1", title="Prin\0ter", body="off\0line", tags=["a\0b"]))

    article = await acme.get("1")

    assert (article.title, article.body, list(article.tags)) == ("Printer", "offline", ["ab"])


async def test_a_article_that_breaks_a_rule_is_refused_with_its_field(acme: Client) -> None:
    broken = {
        "article.title": Article(id="1"),
        "article.id": Article(id="1\0", title="NUL in the id"),
        "article.update_time": Article(id="1", title="Late", update_time=Timestamp(seconds=10**15)),
    }
    for field, article in broken.items():
        error = await refusal(acme.record(article))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert field in str(status_of(error))


async def test_pages_hold_every_article_once_by_title_and_without_bodies(acme: Client) -> None:
    titles = ["Zebra", "apple", "Banana", "banana", "x" * 4096, "X" * 4000 + "z", "Ärger", "apple"]
    await acme.import_(*(Article(id=f"{at}", title=title, body="A body") for at, title in enumerate(titles)))

    seen: list[Article] = []
    token = ""
    pages = 0
    while pages == 0 or token:
        page = await acme.list_(pb.ListArticlesRequest(page_size=3, page_token=token))
        seen += page.articles
        token = page.next_page_token
        pages += 1

    assert pages == 3
    assert [article.id for article in seen] == ["1", "7", "2", "3", "4", "5", "0", "6"]
    assert {article.body for article in seen} == {""}


async def test_a_page_token_of_another_list_is_refused(acme: Client, globex: Client) -> None:
    await acme.import_(*(Article(id=str(number), title="Row") for number in range(3)))
    token = (await acme.list_(pb.ListArticlesRequest(page_size=1))).next_page_token

    for call in (
        acme.list_(pb.ListArticlesRequest(page_token="nonsense")),
        globex.list_(pb.ListArticlesRequest(page_token=token)),
    ):
        error = await refusal(call)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "page_token" in str(status_of(error))


async def test_a_forged_page_token_is_refused(acme: Client) -> None:
    tokens = PageTokens("ListArticles", "acme")
    for key in (("a\0", "import", "1"), ("a",), (1, 2, 3)):
        error = await refusal(acme.list_(pb.ListArticlesRequest(page_token=tokens.encode(*key))))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
