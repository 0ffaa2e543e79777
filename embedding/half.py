"""Vectors in the text form of pgvector's `halfvec`."""

from embedding.contract import Vector


def half_vector(vector: Vector) -> str:
    return f"[{','.join(f'{number:.5g}' for number in vector)}]"
