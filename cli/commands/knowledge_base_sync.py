"""`knowledge-base sync|test`: what the knowledge service does with one now."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from cli.instance import Instance
from cli.knowledge_bases import NameArgument, OfClient, asking_knowledge
from cli.options import DataDirOption
from cli.output import JsonOption, Output
from cli.show.knowledge_bases import counted, has_failed, sync_json, tested_json, tested_table
from cli.tenancy import TenantOption
from cli.words import number_of
from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.knowledge_base_pb2 import KnowledgeBaseCheck, KnowledgeBaseSync

_FAILED: Final = 1
_LOOK_SECONDS: Final = 0.5


def sync(
    *,
    name: NameArgument,
    wait_seconds: Annotated[
        float, typer.Option(min=0, help="How long to wait for the end; the sync goes on without.")
    ] = 600,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Sync a knowledge base now, and compare all of it. Exit code 1 where it failed.

    Example: dossier knowledge-base sync wiki --wait-seconds 0
    """
    output = Output(as_json=as_json)
    synced, has_ended = asyncio.run(_synced(Instance.resolve(data_dir), name, tenant, wait_seconds, output))
    output.result({**sync_json(synced), "ended": has_ended}, shown=_told(synced, has_ended=has_ended))
    return _FAILED if has_ended and synced.error else 0


def try_base(
    *,
    name: NameArgument,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Test the connection to a knowledge base: reach it, sign in, read a page, search. Changes nothing there.

    Exit code 1 where something failed. Example: dossier knowledge-base test wiki --tenant acme
    """
    output = Output(as_json=as_json)

    async def ask() -> Sequence[KnowledgeBaseCheck]:
        return await tested(await OfClient.of(Instance.resolve(data_dir), tenant), name, output)

    checks = asyncio.run(ask())
    shown, code = told_of_test(name, checks)
    output.result({"name": name, **tested_json(checks)}, shown=shown)
    return code


async def tested(of_client: OfClient, name: str, output: Output) -> Sequence[KnowledgeBaseCheck]:
    with output.progress.status("Testing the connection to the knowledge base …"):
        async with asking_knowledge(of_client.instance, of_client.client) as knowledge:
            request = pb.TestKnowledgeBaseRequest(knowledge_base=name)
            return (await knowledge.TestKnowledgeBase(request)).checks


def told_of_test(name: str, checks: Sequence[KnowledgeBaseCheck]) -> tuple[RenderableType, int]:
    """What people are shown, and the exit code."""
    if not has_failed(checks):
        return tested_table(checks), 0
    hint = f"Mend what failed, then `dossier knowledge-base test {name}`."
    return Group(tested_table(checks), Text(hint, style="yellow")), _FAILED


async def _synced(
    instance: Instance, name: str, tenant: str | None, wait_seconds: float, output: Output
) -> tuple[KnowledgeBaseSync, bool]:
    of_client = await OfClient.of(instance, tenant)
    ends = time.monotonic() + wait_seconds
    async with asking_knowledge(instance, of_client.client) as knowledge:
        asked = (await knowledge.SyncKnowledgeBase(pb.SyncKnowledgeBaseRequest(knowledge_base=name))).sync
        now = asked
        with output.progress.status("Waiting for its turn …") as status:
            while not _has_ended(now, asked) and time.monotonic() < ends:
                await asyncio.sleep(_LOOK_SECONDS)
                syncs = (await knowledge.ListKnowledgeBaseSyncs(pb.ListKnowledgeBaseSyncsRequest())).syncs
                now = next((each for each in syncs if each.name == name), now)
                if now.running:
                    status.update(f"Syncing {name}: {counted(now)}")
    return now, _has_ended(now, asked)


def _has_ended(now: KnowledgeBaseSync, asked: KnowledgeBaseSync) -> bool:
    """Whether the sync that was asked for has: one that was under way then is not it."""
    began = now.start_time.ToNanoseconds() >= asked.due_time.ToNanoseconds()
    succeeded = now.success_time.ToNanoseconds() >= now.start_time.ToNanoseconds()
    # One whose replica was killed has neither.
    return began and not now.running and (succeeded or bool(now.error))


def _told(synced: KnowledgeBaseSync, *, has_ended: bool) -> RenderableType:
    if not has_ended:
        return "It goes on by itself: `dossier knowledge-base list` shows how far it is."
    if synced.error:
        again = "It is tried again by itself; `dossier knowledge-base test` says what does not work."
        return Group(f"Failed: {synced.error}", Text(again, style="yellow"))
    return f"Synced: {counted(synced)}; {number_of(synced.article_count, 'article')}."
