"""What a page of HTML calls itself."""

import re
from html import unescape
from typing import Final

# Not over a further `<`: the time would grow with the square of the page.
_TITLE: Final = re.compile(r"<title[^<>]*>([^<]{1,4096})", re.IGNORECASE)


def title_of(html: str) -> str:
    found = _TITLE.search(html)
    return " ".join(unescape(found[1]).split()) if found else ""
