"""Searching: which passage of which article answers, and what never does."""

from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.article_pb2 import Article
from tests.knowledge.client import Client

FILLER = [
    "Outlook asks for the password again and again",
    "VPN drops after ten minutes at home",
    "New laptop for the colleague who starts Monday",
    "Shared mailbox missing after migration",
    "Monitor flickers when docked",
    "Cannot open the invoice archive",
    "Teams microphone too quiet in meetings",
    "Phone shows no network since the update",
    "File share full, cannot save drawings",
    "Badge reader at the back door is dead",
]
SPOOLER = """The print queue is where jobs wait.

# Windows

## Stop the spooler

Run `net stop spooler`, then move the jobs away.

## Warn people

Stopping interrupts label jobs in the warehouse.

# Windows

Nothing else.
"""


async def fill(client: Client) -> None:
    await client.import_(
        *(Article(id=f"filler-{at}", title=title, body=title) for at, title in enumerate(FILLER))
    )


def asks(subject: str, **more: object) -> pb.SearchArticlesRequest:
    return pb.SearchArticlesRequest(subject=subject, **more)  # type: ignore[arg-type]


async def test_the_answering_passage_is_named_by_its_headings_and_anchor(acme: Client) -> None:
    await fill(acme)
    await acme.record(Article(id="KB-1", title="Print queue stuck", body=SPOOLER, url="https://kb.example/1"))

    [found] = await acme.search(asks("How do I stop the spooler when jobs are stuck?"))

    assert found.article.id == "KB-1"
    assert found.article.url == "https://kb.example/1"
    assert found.article.body == ""
    assert found.passage.heading == "Windows › Stop the spooler"  # noqa: RUF001
    assert found.passage.anchor == "stop-the-spooler"
    assert found.passage.text == "Run net stop spooler, then move the jobs away."
    assert {"stop", "spooler", "jobs", "stuck"} == set(found.matched_terms)
    assert 0.16 < found.score <= 1


async def test_another_question_finds_another_passage_of_the_same_article(acme: Client) -> None:
    await fill(acme)
    await acme.record(Article(id="KB-1", title="Print queue stuck", body=SPOOLER))

    [found] = await acme.search(asks("Which warehouse label jobs are interrupted?"))

    assert found.passage.anchor == "warn-people"


async def test_an_article_is_found_by_its_title_alone(acme: Client) -> None:
    await fill(acme)
    await acme.record(Article(id="KB-1", title="Bitlocker recovery key"))

    [found] = await acme.search(asks("bitlocker recovery"))

    assert (found.article.id, found.passage.text) == ("KB-1", "")


async def test_an_article_answers_once_and_the_better_article_first(acme: Client) -> None:
    await fill(acme)
    steps = "\n\n".join(f"# Step {at}\n\nRestart the bitlocker service." for at in range(20))
    await acme.record(Article(id="long", title="Services", body=steps))
    await acme.record(Article(id="exact", title="Bitlocker recovery key", body="Ask for the recovery key."))

    results = await acme.search(asks("bitlocker recovery key", min_score=0.0))

    assert [result.article.id for result in results] == ["exact", "long"]


async def test_a_question_about_something_else_finds_nothing(acme: Client) -> None:
    await fill(acme)
    await acme.record(Article(id="KB-1", title="Print queue stuck", body=SPOOLER))

    assert await acme.found("The coffee machine drips", "Water everywhere, call a plumber") == []


async def test_a_changed_article_is_found_by_its_new_text_only(acme: Client) -> None:
    await fill(acme)
    await acme.record(Article(id="KB-1", title="Toner", body="# A\n\nTonerleak.\n\n# B\n\nPapertray."))
    await acme.record(Article(id="KB-1", title="Roaming", body="Scanners lose wireless roaming."))

    assert await acme.found("tonerleak papertray toner") == []
    assert await acme.found("scanners lose wireless roaming") == ["KB-1"]


async def test_the_limit_and_the_least_score_are_the_callers(acme: Client) -> None:
    await fill(acme)
    await acme.import_(
        *(Article(id=str(number), title="Label printer", body="Empty labels") for number in range(9))
    )

    assert len(await acme.search(asks("Label printer prints empty labels"))) == 5
    assert len(await acme.search(asks("Label printer prints empty labels", limit=7))) == 7
    assert await acme.search(asks("Label printer prints empty labels", min_score=1.0)) == []
    weak = await acme.search(asks("Printer and a hundred other unheard matters", min_score=0.0))
    assert weak
    assert weak[0].score < 0.16


async def test_the_counts_of_words_follow_every_change(acme: Client) -> None:
    """Rarity is what ranking stands on: were deleted articles counted, a rare word would seem common."""
    await fill(acme)
    await acme.record(Article(id="1", title="Zebra jam in the tray of the warehouse printer"))
    [before] = await acme.search(asks("zebra jam"))

    for round_ in range(2):
        await acme.import_(
            *(Article(id=f"gone-{at}", title=f"Zebra jam {round_}", body="# A\n\nzebra") for at in range(30))
        )
    for at in range(30):
        await acme.delete(f"gone-{at}")
    [after] = await acme.search(asks("zebra jam"))

    assert after.score == before.score > 0.3


async def test_the_rest_of_the_article_comes_along_in_order_where_it_is_asked_for(acme: Client) -> None:
    await fill(acme)
    await acme.record(Article(id="KB-1", title="Print queue stuck", body=SPOOLER))
    question = "How do I stop the spooler when jobs are stuck?"

    [alone] = await acme.search(asks(question))
    [whole] = await acme.search(asks(question, with_surroundings=True))

    assert not alone.surroundings
    assert whole.passage == alone.passage
    assert [each.text for each in whole.surroundings] == [
        "The print queue is where jobs wait.",
        "Stopping interrupts label jobs in the warehouse.",
        "Nothing else.",
    ]


async def test_a_long_article_brings_only_what_is_around(acme: Client) -> None:
    await fill(acme)
    chapters = [f"# Chapter {at}\n\n{'zygote' if at == 20 else 'other'} matter {at}\n" for at in range(40)]
    await acme.record(Article(id="KB-1", title="A handbook", body="\n".join(chapters)))

    [found] = await acme.search(asks("zygote matter", with_surroundings=True))

    around = [*range(14, 20), *range(21, 27)]
    assert [each.heading for each in found.surroundings] == [f"Chapter {at}" for at in around]
