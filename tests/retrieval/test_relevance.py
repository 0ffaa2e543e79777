"""Words and meaning as one score, by weights that may be a client's own."""

import pytest

from retrieval.relevance import CALIBRATED_SHARE, OF_TICKETS, Weights, relevance


def test_the_calibrated_share_weighs_as_calibrated() -> None:
    weights = OF_TICKETS.weights

    assert weights.words == pytest.approx(0.6)
    assert weights.meaning == pytest.approx(0.85)
    assert relevance(0.5, 0.7, weights) == pytest.approx(0.6 * 0.5 + 0.85 * 0.7 - 0.31)
    assert Weights.of(CALIBRATED_SHARE) == weights


@pytest.mark.parametrize("cosine", [None, 0.0, 0.5, 1.0])
def test_without_a_share_words_alone_make_the_score(cosine: float | None) -> None:
    assert relevance(0.4, cosine, Weights.of(0)) == pytest.approx(0.4)


def test_with_all_of_it_meaning_alone_does() -> None:
    weights = Weights.of(1)

    assert relevance(0.0, 0.8, weights) == relevance(0.9, 0.8, weights)
    assert relevance(0.0, 0.8, weights) > relevance(0.9, 0.6, weights)
    assert relevance(1.0, 1.0, weights) == 1
