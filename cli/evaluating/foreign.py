"""Questions that no IT desk has an answer to: what is found for them had better stay below the floor."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cli.evaluating.judgements import Query

_FILE: Final = Path(__file__).with_suffix(".txt")


def foreign_questions() -> Sequence[Query]:
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return [Query(f"foreign {number}", line, "") for number, line in enumerate(lines, start=1)]
