"""Knowledge bases, their syncs and their tests, as JSON and as tables."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from cli.output import Json
from cli.show.checks import Checked, checks_json, checks_table
from cli.words import iso, word
from dossier.knowledge.v1.knowledge_base_pb2 import (
    KNOWLEDGE_BASE_VERDICT_FAILED,
    KnowledgeBaseCheck,
    KnowledgeBaseCheckKind,
    KnowledgeBaseSync,
    KnowledgeBaseVerdict,
)
from dossier.tenants.v1.knowledge_base_pb2 import KNOWLEDGE_BASE_MODE_SEARCH, KnowledgeBase, KnowledgeBaseMode

_COUNTS: Final = ("created", "updated", "removed", "rejected")


def knowledge_base_json(base: KnowledgeBase) -> dict[str, Json]:
    return {
        "name": base.name,
        "connector": base.connector,
        "base_url": base.base_url,
        "options": dict(base.options),
        "mode": word(KnowledgeBaseMode.DESCRIPTOR, base.mode),
        "sync_minutes": base.sync_minutes,
        "deadline_ms": base.deadline_ms,
        "paused": base.paused,
    }


def sync_json(sync: KnowledgeBaseSync) -> dict[str, Json]:
    return {
        "name": sync.name,
        "running": sync.running,
        "due": iso(sync.due_time),
        "started": iso(sync.start_time),
        "succeeded": iso(sync.success_time),
        "error": sync.error,
        **{name: getattr(sync, f"{name}_count") for name in _COUNTS},
        "articles": sync.article_count,
    }


def bases_table(bases: Sequence[KnowledgeBase], syncs: Mapping[str, KnowledgeBaseSync]) -> Table:
    table = Table(
        *("name", "connector", "where", "mode", "articles", "state", "last success", "next"),
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    for base in bases:
        sync = syncs.get(base.name)
        mode = word(KnowledgeBaseMode.DESCRIPTOR, base.mode)
        cells = (base.name, base.connector, base.base_url, mode)
        told = ("", _state(base, None), "", "")
        if sync is not None and base.mode != KNOWLEDGE_BASE_MODE_SEARCH:
            times = (iso(sync.success_time) or "never", iso(sync.due_time) or "")
            told = (str(sync.article_count), _state(base, sync), *times)
        table.add_row(*(Text(cell, overflow="fold") for cell in (*cells, *told)))
    return table


def _state(base: KnowledgeBase, sync: KnowledgeBaseSync | None) -> str:
    if base.paused:
        return "paused"
    if base.mode == KNOWLEDGE_BASE_MODE_SEARCH:
        return "asked with each search"
    if sync is None:
        return "to be synced"
    if sync.running:
        return f"being synced: {counted(sync)}"
    if sync.error:
        return f"failed: {sync.error}"
    return "synced" if sync.HasField("success_time") else "to be synced"


def counted(sync: KnowledgeBaseSync) -> str:
    return ", ".join(f"{getattr(sync, f'{name}_count')} {name}" for name in _COUNTS)


def tested_json(checks: Sequence[KnowledgeBaseCheck]) -> dict[str, Json]:
    return {"verdict": "failed" if has_failed(checks) else "ok", "checks": checks_json(_checked(checks))}


def tested_table(checks: Sequence[KnowledgeBaseCheck]) -> Table:
    return checks_table(_checked(checks))


def has_failed(checks: Sequence[KnowledgeBaseCheck]) -> bool:
    return any(each.verdict == KNOWLEDGE_BASE_VERDICT_FAILED for each in checks)


def _checked(checks: Sequence[KnowledgeBaseCheck]) -> Sequence[Checked]:
    return [
        Checked(
            check=word(KnowledgeBaseCheckKind.DESCRIPTOR, each.kind),
            verdict=word(KnowledgeBaseVerdict.DESCRIPTOR, each.verdict),
            seen=each.seen,
            next_step=each.next_step,
        )
        for each in checks
    ]
