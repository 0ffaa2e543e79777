"""Vectors for made-up tickets: embedding a million would take hours, and how long a search takes is the same.

A thousand tickets are embedded by the packaged model; every ticket has the vector of one of those, moved a little.
"""

import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import asyncpg
import numpy as np
from numpy.typing import NDArray

from cli.bench.synthetic import past_tickets
from embedding.contract import DIMENSIONS
from embedding.minilm.encoder import MODEL, Encoder

BLOCK: Final = 10_000
"""Tickets whose vectors are written in one transaction."""

_DISTINCT: Final = 1_000
_MOVED: Final = 0.035
"""In each dimension: two tickets of one origin have a cosine of about 0.7."""
_SEED: Final = 20261129
# As halfvec_recv() of pgvector reads it: dimensions, a reserved number, the halves.
_HEADER: Final = struct.pack(">hh", DIMENSIONS, 0)

Matrix = NDArray[np.float32]


def origins(folder: Path) -> Matrix:
    """`folder` keeps the prepared model."""
    texts = [f"{each.title}\n{each.description}" for each in past_tickets(_DISTINCT)]
    return Encoder(folder).encode(texts).vectors


async def write_vectors(
    connection: asyncpg.Connection, tenant: str, source: str, size: int, among: Matrix
) -> AsyncIterator[int]:
    """Write those that are missing, as the administrator; yields how many are there, block by block."""
    await connection.set_type_codec("halfvec", schema="public", encoder=_binary, decoder=bytes, format="binary")
    known = await connection.fetchval(
        "select count(*) from history.ticket_vectors where tenant_id = $1 and source = $2", tenant, source
    )
    # A block is written as a whole.
    yield known
    for start in range(known, size, BLOCK):
        count = min(BLOCK, size - start)
        await connection.copy_records_to_table(
            "ticket_vectors",
            schema_name="history",
            columns=("tenant_id", "source", "ticket_id", "model", "vector"),
            records=[
                (tenant, source, str(start + at), MODEL, vector)
                for at, vector in enumerate(_moved(among, start, count), 1)
            ],
        )
        yield start + count


def _moved(among: Matrix, start: int, count: int) -> Iterator[NDArray[np.float16]]:
    draw = np.random.default_rng((_SEED, start))
    moved = among[draw.integers(len(among), size=count)]
    moved = moved + draw.normal(scale=_MOVED, size=moved.shape).astype(np.float32)
    yield from (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float16)


def _binary(vector: NDArray[np.float16]) -> bytes:
    return _HEADER + vector.astype(">f2").tobytes()
