"""What may be told of an exception of anybody's code."""

import traceback


def place_of(error: BaseException) -> str:
    """Where it was raised, and not what it says: that may quote a credential."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{place.filename}:{place.lineno}"
