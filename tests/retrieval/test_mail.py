"""What of a mail's text is somebody's own."""

import time

import pytest

from retrieval.mail import own_words

OWN = "The label printer prints empty labels again"
HEADER_FIELDS = (
    "{f}: Bob <bob@acme.example>\n{s}: Wednesday, December 20, 2023 1:37 PM\n{t}: Ann\n{b}: VPN\n\n"
)
THREADS = {
    "English": "On Wed, Dec 20, 2023 at 13:37, Bob <bob@acme.example> wrote:\n"
    "> The VPN drops.\n> Every hour.\n",
    "German": "Am Mi., 20. Dez. 2023 um 13:37 Uhr schrieb Bob <bob@acme.example>:\n> VPN geht nicht\n",
    "French": "Le mer. 20 déc. 2023 à 13:37, Bob <bob@acme.example> a écrit :\n> Le VPN tombe.\n",
    "Outlook": HEADER_FIELDS.format(f="From", s="Sent", t="To", b="Subject") + "The VPN drops every hour.\n",
    "Outlook in German": HEADER_FIELDS.format(f="Von", s="Gesendet", t="An", b="Betreff")
    + "VPN bricht ab.\n",
    "Outlook of old": "-----Original Message-----\nFrom: Bob\nSent: Wednesday\nTo: Ann\nSubject: VPN\n\n"
    "VPN drops.\n",
}


@pytest.mark.parametrize("thread", THREADS.values(), ids=THREADS.keys())
def test_the_thread_below_ones_own_words_is_left_out(thread: str) -> None:
    assert own_words(f"{OWN}\n\n{thread}") == OWN


@pytest.mark.parametrize("above", ["", "FYI\n\n", "Please see below.\n\n"])
@pytest.mark.parametrize("thread", THREADS.values(), ids=THREADS.keys())
def test_where_the_thread_is_the_question_it_is_kept(above: str, thread: str) -> None:
    assert own_words(above + thread) == above + thread


@pytest.mark.parametrize(
    "text",
    [
        "",
        OWN,
        "Labels are blank.\nFrom: the morning on\nwe see > 5 errors",
        "The log says:\n> disk full\n> giving up\nPlease help, the label printer waits",
        f"{OWN}\n" * 1000,
    ],
    ids=["nothing", "no mail", "words of a header", "a log", "long"],
)
def test_what_is_no_thread_stays_as_it_is(text: str) -> None:
    assert own_words(text) == text


@pytest.mark.parametrize("line", ["> a\n", "From: a\n", "On a ", "-", "\n", " "])
def test_a_megabyte_takes_no_longer_than_its_beginning(line: str) -> None:
    text = line * (1_000_000 // len(line))

    started = time.process_time()
    own_words(text)

    assert time.process_time() - started < 1
