"""How words weigh, and what their sum means."""

import pytest

from retrieval.documents import Field, merged, weigh
from retrieval.questions import CANDIDATE_BUDGET, Frequencies, Plan, plan, read
from retrieval.sparse import DIMENSIONS, sparse_vector


def planned(subject: str, description: str = "", *, corpus: int = 1000, **documents: int) -> Plan:
    made = plan(read(subject, description), Frequencies(corpus, documents))
    assert made is not None
    return made


def score(made: Plan, *fields: Field) -> float:
    weights = weigh(fields)
    return made.score(sum(weight * weights.get(lexeme, 0.0) for lexeme, weight in made.weights.items()))


def test_a_word_weighs_more_when_repeated_but_never_as_much_as_one() -> None:
    once, often = weigh([Field("printer")]), weigh([Field("printer " * 50)])

    assert 0 < once["printer"] < often["printer"] < 1


def test_a_word_weighs_less_in_a_long_text() -> None:
    filler = " ".join(f"word{number}" for number in range(300))

    assert weigh([Field("printer " + filler)])["printer"] < weigh([Field("printer")])["printer"]


def test_a_field_counts_by_its_weight() -> None:
    weights = weigh([Field("printer", 2.0), Field("toner")])

    assert weights["printer"] > weights["toner"]


def test_a_whole_takes_each_word_from_the_part_where_it_weighs_most() -> None:
    assert merged([{"a": 0.1, "b": 0.9}, {"a": 0.5}]) == {"a": 0.5, "b": 0.9}


def test_a_verbatim_copy_scores_high_and_an_unrelated_text_nothing() -> None:
    subject, description = "Label printer prints empty labels", "Since the ribbon was changed"
    made = planned(subject, description, label=3, printer=40, print=50, empti=9, ribbon=2, chang=80)

    assert score(made, Field(subject, 2.0), Field(description)) > 0.8
    assert score(made, Field("Coffee machine drips")) == 0


def test_unheard_words_of_the_question_lower_the_score() -> None:
    known = planned("espresso somebody", espresso=5, somebodi=5)
    unheard = planned("espresso somebody barista grinder", espresso=5, somebodi=5)

    assert score(unheard, Field("espresso somebody")) < score(known, Field("espresso somebody")) * 0.7


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    made = planned("printer spooler", printer=400, spooler=2)

    assert score(made, Field("spooler")) > 3 * score(made, Field("printer"))


def test_the_subject_counts_more_than_the_description() -> None:
    made = planned("toner", "ribbon", toner=10, ribbon=10)

    assert made.weights["toner"] == pytest.approx(3 * made.weights["ribbon"])


def test_at_most_the_32_rarest_words_are_asked_for() -> None:
    documents = {f"word{number}": number + 1 for number in range(100)}
    made = plan(read(" ".join(documents), ""), Frequencies(1000, documents))

    assert made is not None
    assert set(made.weights) == {f"word{number}" for number in range(32)}


def test_seeds_stay_within_the_budget() -> None:
    made = planned("rare mid common", corpus=10**6, rare=100, mid=2_000, common=CANDIDATE_BUDGET)
    assert made.seeds == ("rare", "mid")

    assert not made.together


def test_everyday_words_are_asked_for_all_at_once() -> None:
    made = planned("user printer toner", corpus=10**6, printer=20_000, toner=30_000, user=500_000)
    assert (made.seeds, made.together) == (("printer", "toner"), True)

    alone = planned("user", corpus=10**6, user=500_000)
    assert (alone.seeds, alone.together) == (("user",), True)


def test_without_a_known_word_there_is_nothing_to_search_for() -> None:
    assert plan(read("espresso", ""), Frequencies(10, {"printer": 3})).seeds == ()
    assert plan(read("espresso", ""), Frequencies(10, {"espresso": 0})).seeds == ()
    assert plan(read("the and of", ""), Frequencies(10, {"printer": 3})).seeds == ()


def test_matched_words_are_shown_as_asked_the_weightiest_first_and_once() -> None:
    made = planned("Printers", "the Spooler of a printer", printer=400, spooler=2)

    assert made.matched({"spooler", "printer", "toner"}) == ("Spooler", "Printers")


def test_counts_that_are_ahead_of_the_corpus_do_no_harm() -> None:
    made = planned("printer", corpus=1, printer=5)

    assert 0 <= score(made, Field("printer")) <= 1


def test_only_the_beginning_of_a_description_is_asked_for() -> None:
    question = read("", "printer " * 200 + "spooler")

    assert "spooler" not in question.lexemes


def test_a_vector_lists_each_position_once_in_order() -> None:
    written = sparse_vector({"printer": 0.5, "spooler": 0.25})

    inside, dimensions = written.removeprefix("{").split("}/")
    positions = [int(entry.split(":")[0]) for entry in inside.split(",")]
    assert int(dimensions) == DIMENSIONS
    assert positions == sorted(set(positions))
    assert all(1 <= position <= DIMENSIONS for position in positions)
    assert sparse_vector({}) == f"{{}}/{DIMENSIONS}"


@pytest.mark.parametrize("score", [0.0, 0.16, 0.5, 1.0])
def test_the_sum_that_a_score_needs_is_read_as_that_score(score: float) -> None:
    made = planned("Label printer prints empty labels", label=3, printer=40, print=50)

    assert made.score(made.sum_of(score)) == pytest.approx(score, rel=1e-5)
    assert made.sum_of(score) <= score * made.sure
