"""Weights in the text form of pgvector's `sparsevec`, whose inner product adds up a score in C."""

from collections.abc import Mapping
from typing import Final
from zlib import crc32

DIMENSIONS: Final = 1 << 20
"""Of the hash. Two lexemes of one document hardly ever share one; then their weights are added."""


def sparse_vector(weights: Mapping[str, float]) -> str:
    """Write `{position:weight,…}/dimensions`; positions count from 1."""
    entries: dict[int, float] = {}
    for lexeme, weight in weights.items():
        position = crc32(lexeme.encode()) % DIMENSIONS + 1
        entries[position] = entries.get(position, 0.0) + weight
    inside = ",".join(f"{position}:{weight:.6g}" for position, weight in sorted(entries.items()))
    return f"{{{inside}}}/{DIMENSIONS}"
