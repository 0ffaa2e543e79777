"""What somebody wrote in a mail themselves, without the thread that hangs below it."""

from typing import Final

import quotequail

from retrieval.words import lexemes

# More than is weighed or embedded of a question; the parser's time grows with the square of it.
_LOOKED_AT: Final = 4_000
# "FYI" and "please see below" say that the thread is the question.
_LEAST_WORDS: Final = 3


def own_words(text: str) -> str:
    """Leave out what a reply quotes, and what is below the header of an earlier mail.

    Where next to nothing stands above it, the whole text is meant.
    """
    thread = quotequail.unwrap(text[:_LOOKED_AT])
    if thread is None or thread["type"] == "quote":
        return text
    own = "\n".join(filter(None, (thread.get("text_top"), thread.get("text_bottom"))))
    return own if len(lexemes(own)) >= _LEAST_WORDS else text
