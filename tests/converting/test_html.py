"""HTML as the Markdown of what a reader sees."""

import pytest

from converting.errors import Unconvertible
from converting.html import to_markdown


def test_headings_lists_tables_and_code_stay() -> None:
    assert to_markdown(
        "<h1>VPN</h1><p>It <b>drops</b>.</p><h2>Fix</h2><ol><li>Open</li><li>Set</li></ol>"
        "<table><tr><th>Site</th><th>MTU</th></tr><tr><td>Rotterdam</td><td>1,360</td></tr></table>"
        '<pre><code class="language-sh">ping -s 1360 *\n  # twice</code></pre>'
    ) == (
        "# VPN\n\nIt **drops**.\n\n## Fix\n\n1. Open\n2. Set\n\n"
        "| Site | MTU |\n| --- | --- |\n| Rotterdam | 1,360 |\n\n"
        "```sh\nping -s 1360 *\n  # twice\n```"
    )


@pytest.mark.parametrize(
    "unseen",
    [
        "<script>GONE</script>",
        "<style>GONE</style>",
        "<nav>GONE<nav>GONE</nav></nav>",
        "<footer>GONE</footer>",
        "<div role='navigation'>GONE</div>",
        "<p hidden>GONE</p>",
        "<p aria-hidden='true'>GONE</p>",
        "<p style='color: red; DISPLAY : none'>GONE</p>",
        "<div style='display:none'>GONE<b style='display:none'>GONE</b></div>",
        "<p style='visibility:hidden'>GONE</p>",
        "<form><input value='GONE'>GONE</form>",
        "<template>GONE</template>",
        "<!-- GONE -->",
        "<iframe src='/GONE'>GONE</iframe>",
    ],
)
def test_what_a_reader_does_not_see_goes(unseen: str) -> None:
    assert to_markdown(f"<p>before</p>{unseen}<p>after</p>") == "before\n\nafter"


def test_of_a_page_with_a_main_part_only_that_stays() -> None:
    page = "<header>Shop</header><main><header><h1>Reset</h1></header><p>Press.</p></main><div>Ads</div>"

    assert to_markdown(page) == "# Reset\n\nPress."


@pytest.mark.parametrize(
    ("link", "markdown"),
    [
        ("/kb/2", "[x](https://kb.example/kb/2)"),
        ("2#top", "[x](https://kb.example/kb/2#top)"),
        ("https://other.example/", "[x](https://other.example/)"),
        ("javascript:alert(1)", "x"),
        (" JavaScript:alert(1)", "x"),
        ("data:text/html,x", "x"),
        ("http://[", "x"),
    ],
)
def test_links_become_absolute_and_scripts_in_them_go(link: str, markdown: str) -> None:
    assert to_markdown(f'<p><a href="{link}">x</a></p>', base_url="https://kb.example/kb/1") == markdown


def test_without_a_base_relative_links_stay() -> None:
    assert to_markdown('<a href="/y">x</a>') == "[x](/y)"


@pytest.mark.parametrize("source", ["", "   ", "<html></html>", "<script>x</script>", "<p>"])
def test_nothing_to_see_is_empty(source: str) -> None:
    assert to_markdown(source) == ""


def test_plain_text_stays_and_what_looks_like_markdown_is_escaped() -> None:
    assert to_markdown("a_b 5 * 3") == r"a\_b 5 \* 3"


def test_nesting_beyond_reason_is_refused() -> None:
    with pytest.raises(Unconvertible, match="nested too deeply"):
        to_markdown("<div>" * 5_000 + "x")
    assert to_markdown("<div>" * 100 + "x") == "x"
