"""JSON of whatever the line of a log holds."""

import json

import orjson


def json_text(told: object) -> str:
    """Never fails for what is in it: what JSON has no form for is told as Python would."""
    try:
        return orjson.dumps(told, default=repr).decode()
    except TypeError:
        # Half a character, or a number of more than 64 bits.
        return json.dumps(told, default=repr)
