"""How much what people think of a document counts."""

import pytest

from retrieval.ratings import STRONGEST, UNRATED, Voice, standing

UP, DOWN = Voice(helpful=True, likeness=1), Voice(helpful=False, likeness=1)


def test_nobody_and_people_who_disagree_move_nothing() -> None:
    assert standing([]) == standing([UP, DOWN]) == UNRATED
    assert UNRATED.factor == 1


@pytest.mark.parametrize("voices", [1, 2, 5, 100_000])
def test_each_word_counts_less_than_the_one_before_and_never_too_much(voices: int) -> None:
    raised, lowered = standing([UP] * voices), standing([DOWN] * voices)

    assert 1 + STRONGEST / 3 <= raised.factor <= 1 + STRONGEST
    assert raised.factor - 1 == pytest.approx(1 - lowered.factor)
    assert (raised.boost, lowered.boost) == ("rated_helpful", "rated_unhelpful")
    assert standing([UP] * (voices + 1)).factor > raised.factor


def test_a_word_on_a_question_less_like_this_one_counts_less_and_on_an_unlike_one_not_at_all() -> None:
    half, hardly = Voice(helpful=True, likeness=0.5), Voice(helpful=True, likeness=0.1)

    assert 1 < standing([half]).factor < standing([UP]).factor
    assert standing([hardly] * 50) == UNRATED
    assert standing([UP, hardly]) == standing([UP])
