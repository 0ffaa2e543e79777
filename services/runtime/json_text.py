"""JSON of whatever the line of a log holds."""

import json

import orjson


def json_text(told: object) -> str:
    """What JSON has no form for is written as its `repr`."""
    try:
        return orjson.dumps(told, default=repr).decode()
    except TypeError:
        # Half a character, or a number of more than 64 bits.
        return json.dumps(told, default=repr)
