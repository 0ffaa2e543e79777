"""`tenant test`, and the test that other verbs offer."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.show.connection import connection_json, connection_table
from cli.tenancy import TenantArgument, asking_tenants
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.connection_test_pb2 import (
    CONNECTION_CHECK_KIND_ADD_PRIVATE_NOTES,
    CONNECTION_VERDICT_FAILED,
    CONNECTION_VERDICT_UNKNOWN,
    ConnectionTest,
)
from dossier.tenants.v1.tenant_pb2 import Tenant

TestOption = Annotated[
    bool, typer.Option("--test/--no-test", help="Test the connection to the ticketing tool afterwards.")
]

FAILED = 1
"""The exit code where the tool could not be reached or used, whatever else was done."""
_ADDING = CONNECTION_CHECK_KIND_ADD_PRIVATE_NOTES


@dataclass(frozen=True, slots=True)
class Tried:
    data: Mapping[str, Json]
    shown: Sequence[RenderableType]
    exit_code: int


def try_connection(
    *,
    tenant_id: TenantArgument,
    ticket: Annotated[
        str,
        typer.Option(help="A ticket's id in the tool: it gets a private test note, to see whether it may."),
    ] = "",
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Test the connection to a client's ticketing tool. Exit code 1 where something failed.

    Nothing is changed at the tool unless --ticket is given. Example: dossier tenant test acme --ticket 10501
    """
    output = Output(as_json=as_json)
    test = asyncio.run(_tested(Instance.resolve(data_dir), tenant_id, ticket=ticket, output=output))
    output.result({"tenant": tenant_id, **connection_json(test)}, shown=told(test, tenant_id))
    return FAILED if test.verdict == CONNECTION_VERDICT_FAILED else 0


def tried_afterwards(instance: Instance, tenant: Tenant, *, wanted: bool, output: Output) -> Tried:
    """What a change's own result is followed by; nothing where there is no tool to reach."""
    if not wanted or not tenant.ticketing.base_url:
        return Tried({}, (), 0)
    test = asyncio.run(_tested(instance, tenant.id, ticket="", output=output))
    code = FAILED if test.verdict == CONNECTION_VERDICT_FAILED else 0
    return Tried({"connection_test": connection_json(test)}, (told(test, tenant.id),), code)


def told(test: ConnectionTest, tenant_id: str) -> RenderableType:
    hints = []
    if test.verdict == CONNECTION_VERDICT_FAILED:
        hints.append(f"Mend what failed, then `dossier tenant test {tenant_id}`.")
    if any(each.kind == _ADDING and each.verdict == CONNECTION_VERDICT_UNKNOWN for each in test.checks):
        hints.append(f"`dossier tenant test {tenant_id} --ticket ID` tries it with a private test note.")
    return Group(connection_table(test), *(Text(each, style="yellow") for each in hints))


async def _tested(instance: Instance, tenant_id: str, *, ticket: str, output: Output) -> ConnectionTest:
    request = pb.TestConnectionRequest(tenant_id=tenant_id, ticket_id=ticket)
    with output.progress.status("Testing the connection to the ticketing tool …"):
        async with asking_tenants(instance) as tenants:
            return (await tenants.TestConnection(request)).connection_test
