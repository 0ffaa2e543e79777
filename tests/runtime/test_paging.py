import pytest

from services.runtime.errors import InvalidArgument
from services.runtime.paging import PageTokens

TICKETS = PageTokens("ListTickets", "acme", "status:open")


@pytest.mark.parametrize("key", [("2026-01-01T00:00:00+00:00", "t-1"), (7, 0.5, None, True), ("ä",), ()])
def test_a_token_leads_to_the_key_it_was_made_from(key: tuple[str | int | float | bool | None, ...]) -> None:
    assert TICKETS.decode(TICKETS.encode(*key)) == key


def test_the_first_page_has_no_token() -> None:
    assert TICKETS.decode("") == ()


@pytest.mark.parametrize(
    "other",
    [
        PageTokens("ListArticles", "acme", "status:open"),
        PageTokens("ListTickets", "globex", "status:open"),
        PageTokens("ListTickets", "acme", "status:closed"),
    ],
)
def test_a_token_of_another_list_is_refused(other: PageTokens) -> None:
    with pytest.raises(InvalidArgument) as caught:
        TICKETS.decode(other.encode("t-1"))
    assert caught.value.violations[0].field == "page_token"


@pytest.mark.parametrize(
    "token", ["x", "not a token", "////", "AAAA", TICKETS.encode("t-1")[:-3], "\N{SNOWMAN}"]
)
def test_what_is_not_a_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument):
        TICKETS.decode(token)
