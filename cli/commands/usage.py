"""`usage`: what a client's language models cost this month, and how far its budget is used up."""

import asyncio

from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import JsonOption, Output
from cli.rpc import calling
from cli.show.usage import Usage, usage_json, usage_view
from cli.tenancy import TenantOption, asking_tenants, tenant_or_only
from dossier.synthesis.v1 import synthesis_service_pb2 as pb
from dossier.synthesis.v1.synthesis_service_pb2_grpc import SynthesisServiceStub
from dossier.tenants.v1.tenant_service_pb2 import GetTenantRequest

_SERVICES = [pb.DESCRIPTOR.services_by_name["SynthesisService"]]


def usage(
    *, tenant: TenantOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Show what a client's language models cost this month, and how far its budget is used up.

    Example: dossier usage --tenant acme
    """
    found = asyncio.run(_asked(Instance.resolve(data_dir), tenant))
    Output(as_json=as_json).result(usage_json(found), shown=usage_view(found))


async def _asked(instance: Instance, tenant: str | None) -> Usage:
    whose = await tenant_or_only(instance, tenant)
    async with asking_tenants(instance) as tenants:
        budget = (await tenants.GetTenant(GetTenantRequest(tenant_id=whose))).tenant.budget
    async with calling(instance, "synthesis", descriptors=_SERVICES, tenant=whose) as channel:
        return Usage(whose, await SynthesisServiceStub(channel).GetUsage(pb.GetUsageRequest()), budget)
