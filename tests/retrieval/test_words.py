"""Which words a text has."""

import pytest

from retrieval import words as retrieval_words
from retrieval.words import LONGEST_WORD, words


def lexemes(text: str) -> list[str]:
    found = [word.lexeme for word in words(text)]
    assert retrieval_words.lexemes(text) == frozenset(found)
    return found


def test_words_are_compared_by_their_stems_and_shown_as_written() -> None:
    assert [(word.lexeme, word.shown) for word in words("Printers PRINTING")] == [
        ("printer", "Printers"),
        ("print", "PRINTING"),
    ]


def test_words_without_meaning_are_left_out() -> None:
    assert lexemes("It's not that we can't, you'll see") == ["see"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("on FRA-PRN-02.", "fra-prn-02"),
        ("at 10.20.60.12,", "10.20.60.12"),
        ("(0x800423f4)", "0x800423f4"),
        ("says 535 5.7.139!", "5.7.139"),
        ("MAC 80:5E:C0:4A:17:9C", "80:5e:c0:4a:17:9c"),
    ],
)
def test_names_with_digits_are_also_one_word(text: str, name: str) -> None:
    assert name in lexemes(text)


def test_joined_words_without_digits_are_only_their_parts() -> None:
    assert lexemes("one-way") == ["one", "way"]


def test_camel_case_is_also_its_parts() -> None:
    assert lexemes("FileSystem") == ["filesystem", "file", "system"]


def test_forms_that_look_the_same_are_the_same() -> None:
    assert lexemes("\uff30rinter") == lexemes("printer")  # a full-width P
    assert lexemes("Dru\u0308cken") == lexemes("Dr\u00fccken")


def test_scripts_without_spaces_are_cut_into_pairs() -> None:
    assert lexemes("打印机 offline") == ["打印", "印机", "offlin"]


def test_overlong_runs_are_no_words() -> None:
    assert lexemes("a" * LONGEST_WORD) != []
    assert lexemes("a" * (LONGEST_WORD + 1)) == []
    assert lexemes("1-" + "a" * (LONGEST_WORD + 1)) == ["1"]


def test_overlong_runs_have_parts() -> None:
    assert lexemes("a" * (LONGEST_WORD + 1) + "Printer" * 2) == ["printer", "printer"]
    assert lexemes("打" * LONGEST_WORD * 2) == ["打打"] * (LONGEST_WORD * 2 - 1)


def test_digits_of_every_script_make_a_name() -> None:
    assert lexemes("prn\u2013\u0663 prn-\u0663 prn-\u00b2") == lexemes("prn\u2013\u0663 prn-\u0663 prn-2")
    assert "prn-\u0663" in lexemes("prn-\u0663")
