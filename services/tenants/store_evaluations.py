"""A client's evaluations of its search, in a transaction of that client's."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final

import orjson

from services.runtime.database import Connection, Row
from services.tenants.model import (
    EvaluatedKind,
    Evaluation,
    EvaluationBasis,
    KeptEvaluation,
    Measure,
    TenantId,
)

_KEPT: Final = 200
"""Of one client; the contract says so."""


async def insert(
    connection: Connection, tenant: TenantId, evaluation_id: str, evaluation: Evaluation
) -> KeptEvaluation | None:
    """None where it is there already."""
    row = await connection.fetchrow(
        """
        insert into tenants.retrieval_evaluations
            (tenant_id, evaluation_id, kind, basis, query_count, unanswerable_count, meaning_share, floor,
             measures)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict do nothing returning *
        """,
        *(tenant, evaluation_id, evaluation.kind.value, evaluation.basis.value),
        *(evaluation.query_count, evaluation.unanswerable_count),
        *(evaluation.meaning_share, evaluation.floor),
        orjson.dumps({name: asdict(measure) for name, measure in evaluation.measures.items()}).decode(),
    )
    return _kept(row) if row is not None else None


async def remove_oldest(connection: Connection, tenant: TenantId) -> None:
    """Remove those beyond the latest that are kept."""
    await connection.execute(
        """
        delete from tenants.retrieval_evaluations
        where tenant_id = $1 and evaluation_id in (
            select evaluation_id from tenants.retrieval_evaluations
            where tenant_id = $1 order by create_time desc, evaluation_id desc offset $2
        )
        """,
        tenant,
        _KEPT,
    )


async def read(connection: Connection, tenant: TenantId, evaluation_id: str) -> KeptEvaluation | None:
    row = await connection.fetchrow(
        "select * from tenants.retrieval_evaluations where tenant_id = $1 and evaluation_id = $2",
        tenant,
        evaluation_id,
    )
    return _kept(row) if row is not None else None


async def page_before(
    connection: Connection, tenant: TenantId, before: tuple[datetime, str] | None, count: int
) -> Sequence[KeptEvaluation]:
    """The latest first; `before` is the last one's time of creation and id."""
    time, evaluation_id = before or (None, None)
    rows = await connection.fetch(
        """
        select * from tenants.retrieval_evaluations
        where tenant_id = $1
            and ($2::timestamptz is null or (create_time, evaluation_id) < ($2, $3::uuid))
        order by create_time desc, evaluation_id desc limit $4
        """,
        tenant,
        time,
        evaluation_id,
        count,
    )
    return list(map(_kept, rows))


def _kept(row: Row) -> KeptEvaluation:
    return KeptEvaluation(
        id=str(row["evaluation_id"]),
        create_time=row["create_time"],
        evaluation=Evaluation(
            kind=EvaluatedKind(row["kind"]),
            basis=EvaluationBasis(row["basis"]),
            query_count=row["query_count"],
            unanswerable_count=row["unanswerable_count"],
            meaning_share=row["meaning_share"],
            floor=row["floor"],
            measures={name: Measure(**measure) for name, measure in orjson.loads(row["measures"]).items()},
        ),
    )
