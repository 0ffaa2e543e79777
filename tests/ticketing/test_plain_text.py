import pytest

from ticketing.plain_text import plain_text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ""),
        ("plain, with 3 < 5 and a\n\n\n\nsecond part", "plain, with 3 < 5 and a\n\nsecond part"),
        ("<p>a\nb <b>c</b>d</p><p>e</p>", "a b cd\ne"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<ul><li>1</li><li>2</li></ul>", "1\n2"),
        ("<table><tr><td>q</td><td>w</td></tr><tr><td>r</td></tr></table>", "q w\nr"),
        ("<pre>l1\nl2</pre>", "l1\nl2"),
        ("<style>p{}</style><script>x()</script>seen<!-- not -->", "seen"),
        ("5 &lt; 7 &amp;&amp; tab&nbsp;le", "5 < 7 && tab le"),
        ("ig&#8203;nore\u202e this", "ignore this"),
        ("<div>" * 20_000 + "deep", "deep"),
        ("<!-- nothing -->", ""),
        ("  one   line, nothing else ", "one line, nothing else"),
        ("in\u200bvisible, one line", "invisible, one line"),
        ("in\u200bvisible\r\n\ttwo  lines\u202e", "invisible\ntwo lines"),
        ("two\r\n\tlines", "two\nlines"),
        ("a\x0bb", "ab"),
        ("R&D, and 3 < 5", "R&D, and 3 < 5"),
    ],
)
def test_html_reads_as_a_person_would(source: str, text: str) -> None:
    assert plain_text(source) == text
