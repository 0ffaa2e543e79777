"""Whatever a reporter pastes, there is an answer, and soon."""
# ruff: noqa: RUF001 - other scripts look alike

import base64
import random

import pytest

from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.article_pb2 import Article
from tests.knowledge.client import Client

# A hang shows as DEADLINE_EXCEEDED; a healthy answer takes a hundredth of this, also on a busy machine.
DEADLINE_SECONDS = 20
MEGABYTE = 1_048_576
GREETINGS = [
    "Skrivaren fungerar inte",
    "Принтер не работает",
    "プリンターが動きません",
    "打印机无法工作",
    "프린터가 작동하지 않습니다",
    "الطابعة لا تعمل",
    "המדפסת לא עובדת",
    "Ο εκτυπωτής δεν λειτουργεί",
    "เครื่องพิมพ์ไม่ทำงาน",
    "प्रिंटर काम नहीं कर रहा",
    "Yazıcı çalışmıyor",
    "Máy in không hoạt động",
    "Drukarka nie działa",
    "Tiskárna nefunguje",
    "A nyomtató nem működik",
    "Imprimanta nu funcționează",
    "Принтерът не работи",
    "Принтер не працює",
    "Der Drucker geht nicht",
    "L'imprimante ne marche pas",
    "La impresora no funciona",
    "A impressora não funciona",
    "La stampante non funziona",
    "De printer werkt niet",
    "Printeren virker ikke",
    "Tulostin ei toimi",
    "Printer ei tööta",
    "Printeris nedarbojas",
    "Spausdintuvas neveikia",
    "Tlačiareň nefunguje",
    "Tiskalnik ne deluje",
    "Pisač ne radi",
    "Штампач не ради",
    "Printeri nuk punon",
    "პრინტერი არ მუშაობს",
    "Տպիչը չի աշխատում",
    "প্রিন্টার কাজ করছে না",
    "அச்சுப்பொறி வேலை செய்யவில்லை",
    "ማተሚያው አይሰራም",
    "စက်အလုပ်မလုပ်ပါ",
]
RANDOM = random.Random(7)  # noqa: S311 - the same bytes in every run

ODD = {
    "stop words": "the and of it is not",
    "digits": "1234567890 " * 50,
    "punctuation": "?!… -- ::: ((( ",
    "spaces": " \t\n\u00a0",
    "one character": "a",
    "nul": "\0\0printer\0",
    "megabyte of one letter": "a" * MEGABYTE,
    "megabyte of words": "printer offline since the morning " * 30_000,
    "megabyte of joined words": "a-1." * (MEGABYTE // 4),
    "megabyte without a break": "字" * (MEGABYTE // 3),
    "ligatures that grow": "\ufdfa" * 20_000,
    "base64": base64.b64encode(RANDOM.randbytes(300_000)).decode(),
    "code": 'for (int i = 0; i < n; i++) { printf("%d\\n", a[i]); } ' * 500,
    "query language": "printer & !(offline | 'x' <-> 'y'):* \\ \" OR -morning",
    "a quote and a backslash": "it's C:\\Windows\\'",
    "combining marks": "e\u0301\u0302\u0303" * 5_000,
    "emoji": "🖨️🔥 printer 👩‍👩‍👧‍👦" * 200,
    "right to left override": "\u202eprinter\u202c",
    **{text: text for text in GREETINGS},
}  # fmt: skip


async def test_forty_languages() -> None:
    assert len(set(GREETINGS)) == 40


@pytest.fixture
async def filled(acme: Client) -> Client:
    rows = (
        Article(id=f"odd-{at}", title=text[:200].strip(" \t\n\u00a0\0") or "-", body=text)
        for at, text in enumerate(ODD.values())
    )
    report = await acme.stream(pb.ImportArticlesRequest(articles=[row]) for row in rows)
    assert report.created_count == len(ODD)
    return acme


async def test_odd_texts_are_taken_in_and_asked_for(filled: Client) -> None:
    for name, text in ODD.items():
        request = pb.SearchArticlesRequest(
            subject=text[:4096].encode()[:4096].decode(errors="ignore"), description=text
        )
        response = await filled.stub.SearchArticles(
            request, metadata=filled.metadata, timeout=DEADLINE_SECONDS
        )
        assert all(0 <= result.score <= 1 for result in response.results), name


async def test_each_language_finds_its_own_article(filled: Client) -> None:
    ids = {text: f"odd-{at}" for at, text in enumerate(ODD.values())}

    missed = [text for text in GREETINGS if ids[text] not in (await filled.found(text))[:1]]

    assert missed == []


async def test_words_that_mean_nothing_find_nothing(filled: Client) -> None:
    assert await filled.found("the and of it is not") == []
    assert await filled.found("?!… --") == []
