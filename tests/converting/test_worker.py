"""A document that does not let go ends its process, and not whoever asked."""

import asyncio
import multiprocessing
import os
import signal
import time

import pytest

from converting.errors import ConverterBroken, Unconvertible
from converting.worker import Worker
from tests.converting.documents import pdf, word, word_with


def test_documents_are_converted_elsewhere_and_what_is_wrong_with_one_comes_back() -> None:
    with Worker() as worker:
        assert worker.convert("a.pdf", pdf()).title == "VPN drops every hour"
        with pytest.raises(Unconvertible, match="has no text"):
            worker.convert("a.html", b"<p> </p>")
        assert worker.convert("a.docx", word()).title == "Scan to mail fails"


ODD = (
    b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:tbl><w:tr><w:tc>'
    b'<w:tcPr><w:gridSpan w:val="many"/></w:tcPr><w:p/></w:tc></w:tr></w:tbl></w:body></w:document>'
)


def test_whatever_a_reader_stumbles_over_is_that_documents_own_problem() -> None:
    with Worker() as worker, pytest.raises(Unconvertible, match="cannot be read"):
        worker.convert("a.docx", word_with({"word/document.xml": ODD}))


def test_what_takes_too_much_memory_is_ended_and_the_next_is_read() -> None:
    with Worker(seconds=120, memory_bytes=320 << 20) as worker:
        with pytest.raises(Unconvertible, match="takes more than 320 MiB"):
            worker.convert("a.docx", word_with({"word/document.xml": many_paragraphs()}))
        assert worker.convert("a.html", b"<title>Next</title><p>x").title == "Next"


def many_paragraphs() -> bytes:
    """Little as it is packed, and much as objects."""
    head, tail = ODD.split(b"<w:tbl>")[0], b"</w:body></w:document>"
    return head + b"<w:p/>" * ((6 << 20) // 6) + tail


def test_one_that_takes_too_long_is_ended_and_the_next_is_read() -> None:
    slow = b"<p>" + b"<i>word</i> " * 400_000
    with Worker(seconds=4) as worker:
        began = time.monotonic()
        with pytest.raises(Unconvertible, match="was not read within 4 s"):
            worker.convert("slow.html", slow)
        waited = time.monotonic() - began
        assert worker.convert("a.html", b"<title>Next</title><p>x").title == "Next"

    assert waited < 60


async def test_who_gives_up_ends_nothing_and_holds_nobody_up() -> None:
    slow = "<p>" + "<i>word</i> " * 1_500_000
    with Worker(processes=2, seconds=120) as worker:
        await asyncio.gather(*(worker.markdown("<p>warm", base_url="") for _ in range(2)))
        before = converters()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await worker.markdown(slow, base_url="")
        async with asyncio.timeout(10):
            assert await worker.markdown("<p>x", base_url="") == "x"
        assert converters() == before


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_a_process_that_died_idle_is_replaced(seconds: float) -> None:
    """Also when its death is found out only with the next document."""
    with Worker() as worker:
        for _ in range(2):
            worker.convert("a.html", b"<p>x")
            (pid,) = converters()
            os.kill(pid, signal.SIGKILL)
            time.sleep(seconds)
            assert worker.convert("a.html", b"<title>Next</title><p>x").title == "Next"


def test_what_cannot_be_started_is_no_documents_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converting.worker._prepare", os._exit)
    with Worker(memory_bytes=3) as worker, pytest.raises(ConverterBroken):
        worker.convert("a.html", b"<p>x")


async def test_what_is_under_way_when_it_is_closed_ends() -> None:
    with Worker(seconds=120) as worker:
        await worker.markdown("<p>warm", base_url="")
        waiting = [
            asyncio.create_task(worker.markdown("<p>" + "<i>word</i> " * 400_000, base_url=""))
            for _ in range(2)
        ]
        await asyncio.sleep(0.3)
    async with asyncio.timeout(10):
        first, second = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(first, ConverterBroken)
    assert isinstance(second, ConverterBroken | asyncio.CancelledError)


def converters() -> list[int]:
    children = multiprocessing.active_children()
    return sorted(each.pid for each in children if each.name == "pebble_pool_worker" and each.pid)
