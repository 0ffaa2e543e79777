"""The count itself: which call may be paid for again because synthesis died with it in flight."""

import pytest

from tests.crash.counts import excused
from tests.crash.kills import Death
from tests.crash.model import Purchase

BOUGHT = Purchase(asked=100.0, answered=101.0)


@pytest.mark.parametrize(
    ("deaths", "forgiven"),
    [
        ([], False),
        ([Death("synthesis", at=100.5)], True),
        ([Death("synthesis", at=102.9)], True),
        ([Death("synthesis", at=103.1)], False),
        # The model read it when its sender was dead already.
        ([Death("synthesis", at=99.8)], True),
        ([Death("synthesis", at=99.0)], False),
        ([Death("orchestrator", at=100.5)], False),
        ([Death("postgres", at=100.5, back=110.0)], False),
        ([Death("postgres", at=100.5, back=110.0), Death("synthesis", at=113.9)], True),
        ([Death("postgres", at=100.5, back=110.0), Death("synthesis", at=114.1)], False),
    ],
)
def test_only_a_death_before_the_answer_can_be_kept_is_an_excuse(
    deaths: list[Death], *, forgiven: bool
) -> None:
    assert excused(BOUGHT, deaths) is forgiven
