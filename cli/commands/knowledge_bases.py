"""`knowledge-base …`: a client's own knowledge bases. Here those that change settings, and `list`."""

import asyncio
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from cli.asking import NOT_AGREED, agreed
from cli.commands.knowledge_base_sync import sync, tested, told_of_test, try_base
from cli.errors import DossierError, UsageError
from cli.instance import Instance
from cli.knowledge_bases import NameArgument, OfClient, asking_knowledge, named
from cli.options import DataDirOption, YesOption, pairs
from cli.output import Json, JsonOption, Output
from cli.show.knowledge_bases import bases_table, knowledge_base_json, sync_json, tested_json
from cli.tenancy import TenantOption
from cli.words import number_of, value_of
from dossier.knowledge.v1.knowledge_base_pb2 import KnowledgeBaseSync
from dossier.knowledge.v1.knowledge_service_pb2 import ListKnowledgeBaseSyncsRequest
from dossier.tenants.v1.knowledge_base_pb2 import KnowledgeBase, KnowledgeBaseMode

knowledge_base = typer.Typer(
    help="A client's own knowledge bases: kept here as articles, or asked with each search.",
    no_args_is_help=True,
)
knowledge_base.command("sync")(sync)
knowledge_base.command("test")(try_base)

_MS = 1000


class Mode(StrEnum):
    SYNC = "sync"
    SEARCH = "search"
    BOTH = "both"


OptionOption = Annotated[
    list[str] | None, typer.Option(help="name=value that the connector needs, such as spaces=IT,OPS.")
]
CredentialOption = Annotated[
    list[str] | None,
    typer.Option(help="name=value that it is read with, such as token=…; value @path reads a file."),
]
EveryOption = Annotated[
    int | None, typer.Option(metavar="MINUTES", help="From one sync to the next, 5 to 10080; 0 means 60.")
]
DeadlineOption = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="How long a search waits for it, 0.1 to 10; 0 means 10."),
]
TestOption = Annotated[bool, typer.Option("--test/--no-test", help="Test the connection afterwards.")]


@knowledge_base.command("list")
def list_bases(
    *, tenant: TenantOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """List a client's knowledge bases, and how the syncs of each stand.

    Example: dossier knowledge-base list --tenant acme
    """
    of_client, bases, syncs = asyncio.run(_all(Instance.resolve(data_dir), tenant))
    data: dict[str, Json] = {
        "tenant": of_client.client,
        "knowledge_bases": [
            {**knowledge_base_json(base), "sync": sync_json(syncs[base.name]) if base.name in syncs else None}
            for base in bases
        ],
    }
    none = "No knowledge base: `dossier knowledge-base add NAME --connector … --base-url …` makes one."
    Output(as_json=as_json).result(data, shown=bases_table(bases, syncs) if bases else none)


@knowledge_base.command("add")
def add(
    *,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What briefs call it, and the source of its articles.")
    ],
    connector: Annotated[str, typer.Option(help="What it is: confluence, or web for pages of a site.")],
    base_url: Annotated[str, typer.Option(help="Its address; for Confluence Cloud it ends with /wiki.")],
    option: OptionOption = None,
    credential: CredentialOption = None,
    mode: Annotated[
        Mode, typer.Option(help="Keep its pages here, ask it with each search, or both.")
    ] = Mode.SYNC,
    every: EveryOption = None,
    deadline: DeadlineOption = None,
    test: TestOption = True,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Add a knowledge base, and test the connection to it. Exit code 1 where that failed: it is added still.

    Example: dossier knowledge-base add wiki --connector confluence --base-url
    https://acme.atlassian.net/wiki --option spaces=IT --credential email=sync@acme.example
    --credential token=@token.txt
    """
    new = KnowledgeBase(name=name, connector=connector, base_url=base_url)
    _set(new, options=pairs("--option", option), mode=mode, every=every, deadline=deadline)

    def added(bases: list[KnowledgeBase]) -> Sequence[KnowledgeBase]:
        if any(each.name == name for each in bases):
            raise DossierError(
                f"The client has a knowledge base {name}.",
                hint=f"`dossier knowledge-base update {name} …` changes it.",
            )
        return [*bases, new]

    async def change(of_client: OfClient) -> None:
        await of_client.change(added)
        if credentials:
            await of_client.set_credentials(name, credentials)

    credentials = pairs("--credential", credential)
    instance, output = Instance.resolve(data_dir), Output(as_json=as_json)
    of_client = asyncio.run(OfClient.of(instance, tenant))
    asyncio.run(change(of_client))
    return _changed(of_client, name, told=f"Added {name}.", test=test, output=output)


@knowledge_base.command("update")
def update(
    *,
    name: NameArgument,
    base_url: Annotated[str | None, typer.Option(help="Its address.")] = None,
    option: OptionOption = None,
    no_option: Annotated[list[str] | None, typer.Option(help="The name of an option to take away.")] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(help="Keep its pages here, ask it, or both; search removes what was kept."),
    ] = None,
    every: EveryOption = None,
    deadline: DeadlineOption = None,
    pause: Annotated[
        bool | None, typer.Option("--pause/--resume", help="Leave it alone; what is kept of it stays.")
    ] = None,
    test: TestOption = True,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Change a knowledge base; what is not given stays. Its credentials: `set-credentials`.

    Example: dossier knowledge-base update wiki --mode both --deadline 4
    """
    options = pairs("--option", option)

    def updated(bases: list[KnowledgeBase]) -> Sequence[KnowledgeBase]:
        base = named(name, bases)
        if base_url is not None:
            base.base_url = base_url
        if pause is not None:
            base.paused = pause
        for gone in no_option or ():
            if gone not in base.options:
                raise DossierError(f"{name} has no option {gone}.", hint="`list --json` shows those it has.")
            del base.options[gone]
        _set(base, options=options, mode=mode, every=every, deadline=deadline)
        return bases

    given = any(each is not None for each in (base_url, mode, every, deadline, pause))
    if not given and not option and not no_option:
        raise UsageError("There is nothing to change.", hint="--help lists what can be.")
    instance, output = Instance.resolve(data_dir), Output(as_json=as_json)
    of_client = asyncio.run(OfClient.of(instance, tenant))
    asyncio.run(of_client.change(updated))
    return _changed(of_client, name, told=f"Changed {name}.", test=test, output=output)


@knowledge_base.command("set-credentials")
def set_credentials(
    *,
    name: NameArgument,
    credential: CredentialOption = None,
    none: Annotated[bool, typer.Option("--none", help="Take the credentials away.")] = False,
    test: TestOption = True,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Replace the credentials that a knowledge base is read with, all of them, and test them.

    Example: dossier knowledge-base set-credentials wiki --credential token=@token.txt
    """
    if bool(credential) == none:
        raise UsageError(
            "Which credentials?", hint="Give --credential name=value for each, or --none for none."
        )
    instance, output = Instance.resolve(data_dir), Output(as_json=as_json)
    credentials = pairs("--credential", credential)
    of_client = asyncio.run(OfClient.of(instance, tenant))
    asyncio.run(of_client.set_credentials(name, credentials))
    told = f"Credentials of {name}: {', '.join(sorted(credentials)) or 'none'}."
    return _changed(of_client, name, told=told, test=test and not none, output=output)


@knowledge_base.command("remove")
def remove(
    *,
    name: NameArgument,
    yes: YesOption = False,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Remove a knowledge base from a client, its credentials, and the articles that were kept of it.

    Example: dossier knowledge-base remove wiki --yes
    """
    output = Output(as_json=as_json)
    of_client, bases, syncs = asyncio.run(_all(Instance.resolve(data_dir), tenant))
    named(name, bases)
    articles = syncs[name].article_count if name in syncs else 0
    if not yes and not agreed(
        f"{number_of(articles, 'article')} of {name} would be removed.",
        f"Remove them, and {name} of {of_client.client}?",
        hint="Say --yes to remove them.",
        output=output,
    ):
        output.console.print("Nothing was removed.")
        return NOT_AGREED
    asyncio.run(of_client.change(lambda now: [each for each in now if each is not named(name, now)]))
    data: dict[str, Json] = {"tenant": of_client.client, "name": name, "articles": articles}
    output.result(data, shown=f"Removed {name}; of its articles ({articles}) none is left within seconds.")
    return 0


def _set(
    base: KnowledgeBase,
    *,
    options: Mapping[str, str],
    mode: Mode | None,
    every: int | None,
    deadline: float | None,
) -> None:
    base.options.update(options)
    if mode is not None:
        base.mode = KnowledgeBaseMode.ValueType(value_of(KnowledgeBaseMode.DESCRIPTOR, mode))
    if every is not None:
        base.sync_minutes = every
    if deadline is not None:
        base.deadline_ms = round(deadline * _MS)


def _changed(of_client: OfClient, name: str, *, told: str, test: bool, output: Output) -> int:
    """End a verb that has changed one: with how it is now, and what a test of it says."""

    async def look() -> tuple[KnowledgeBase, dict[str, Json], RenderableType, int]:
        base = named(name, await of_client.all())
        if not test or base.paused:
            return base, {}, told, 0
        checks = await tested(of_client, name, output)
        shown, code = told_of_test(name, checks)
        return base, {"connection_test": tested_json(checks)}, Group(told, shown), code

    base, data, shown, code = asyncio.run(look())
    output.result({"tenant": of_client.client, **knowledge_base_json(base), **data}, shown=shown)
    return code


async def _all(
    instance: Instance, tenant: str | None
) -> tuple[OfClient, list[KnowledgeBase], Mapping[str, KnowledgeBaseSync]]:
    of_client = await OfClient.of(instance, tenant)
    async with asking_knowledge(instance, of_client.client) as knowledge:
        syncs = (await knowledge.ListKnowledgeBaseSyncs(ListKnowledgeBaseSyncsRequest())).syncs
    return of_client, await of_client.all(), {each.name: each for each in syncs}
