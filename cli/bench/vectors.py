"""Vectors for made-up tickets: embedding a million would take hours, and how long a search takes is the same.

A thousand are embedded by the packaged model; every ticket has the vector of one of those, moved a little.
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

# Written in one transaction.
_BLOCK: Final = 10_000

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
) -> AsyncIterator[tuple[int, int]]:
    """Write what is missing, as the administrator; yields by block how many it looked at and wrote."""
    await connection.set_type_codec(
        "halfvec", schema="public", encoder=_binary, decoder=bytes, format="binary"
    )
    await connection.execute(
        "create temporary table made (like history.ticket_vectors) on commit delete rows"
    )
    try:
        for start in range(0, size, _BLOCK):
            numbers = range(start, min(size, start + _BLOCK))
            yield len(numbers), await _write_block(connection, tenant, source, numbers, among)
    finally:
        await connection.execute("drop table made")


async def _write_block(
    connection: asyncpg.Connection, tenant: str, source: str, numbers: range, among: Matrix
) -> int:
    ids = [str(number + 1) for number in numbers]
    known: int = await connection.fetchval(
        "select count(*) from history.ticket_vectors"
        " where tenant_id = $1 and source = $2 and ticket_id = any($3::text[])",
        *(tenant, source, ids),
    )
    if known == len(ids):
        return 0
    async with connection.transaction():
        vectors = _moved(among, numbers.start, len(numbers))
        await connection.copy_records_to_table(
            "made",
            columns=("tenant_id", "source", "ticket_id", "model", "vector"),
            records=[
                (tenant, source, each, MODEL, vector) for each, vector in zip(ids, vectors, strict=True)
            ],
        )
        # The embedder may have been faster, and has nothing to do afterwards.
        await connection.execute(
            "insert into history.ticket_vectors select * from made on conflict do nothing"
        )
        await connection.execute(
            "delete from history.embedding_backlog where tenant_id = $1 and source = $2", tenant, source
        )
    return len(ids) - known


def _moved(among: Matrix, start: int, count: int) -> Iterator[NDArray[np.float16]]:
    draw = np.random.default_rng((_SEED, start))
    moved = among[draw.integers(len(among), size=count)]
    moved = moved + draw.normal(scale=_MOVED, size=moved.shape).astype(np.float32)
    yield from (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float16)


def _binary(vector: NDArray[np.float16]) -> bytes:
    return _HEADER + vector.astype(">f2").tobytes()
