"""What must hold of every contract, asked of the descriptors, so that a new RPC is covered by being there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from dossier.context.v1 import error_reason_pb2

ROOT = Path(__file__).parents[2]
PACKAGES = ("context", "history", "knowledge", "network", "orchestrator", "synthesis", "tenants")
UNARY_WITHOUT_REST = {
    # Between services only.
    "dossier.context.v1.ContextSourceService.Gather",
    "dossier.history.v1.HistoryService.RateTicket",
    "dossier.knowledge.v1.KnowledgeService.RateArticle",
    "dossier.orchestrator.v1.OrchestratorService.SubmitEnhancements",
    "dossier.synthesis.v1.SynthesisService.WriteBrief",
    "dossier.tenantdata.v1.TenantDataService.CountRows",
    "dossier.tenantdata.v1.TenantDataService.EraseRows",
    "dossier.tenantdata.v1.TenantDataService.ExpireRows",
    "dossier.tenants.v1.TenantService.ListWebhookSecrets",
    "dossier.tenants.v1.TenantService.GetTicketingAccess",
    "dossier.tenants.v1.TenantService.ListQueueShares",
    "dossier.tenants.v1.TenantService.ListRetrievalSettings",
    "dossier.tenants.v1.TenantService.AuthenticateApiKey",
    "dossier.tenants.v1.TenantService.RecordWebhookSecretUses",
    "dossier.tenants.v1.TenantService.RecordAuditEvents",
    "dossier.tenants.v1.TenantService.GetKnowledgeBaseAccess",
    "dossier.tenants.v1.TenantService.ListKnowledgeBases",
}


def described() -> descriptor_pb2.FileDescriptorSet:
    path = ROOT / "gen" / "dossier" / "descriptors.binpb"
    return descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())


def pool() -> descriptor_pool.DescriptorPool:
    found = descriptor_pool.DescriptorPool()
    for file in described().file:
        found.Add(file)
    return found


def services() -> Iterator[ServiceDescriptor]:
    contracts = pool()
    for file in described().file:
        if file.package.startswith("dossier."):
            for service in file.service:
                yield contracts.FindServiceByName(f"{file.package}.{service.name}")


def methods() -> list[MethodDescriptor]:
    return [method for service in services() for method in service.methods]


def comments() -> dict[str, str]:
    """The comment above each service's methods, by full name."""
    found = {}
    for file in described().file:
        for location in file.source_code_info.location:
            match list(location.path):
                case [6, service, 2, method]:
                    owner = file.service[service]
                    name = f"{file.package}.{owner.name}.{owner.method[method].name}"
                    found[name] = location.leading_comments
                case _:
                    pass
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_of_the_design_has_a_service_and_documented_reasons(package: str) -> None:
    names = {service.full_name for service in services()}
    assert any(name.startswith(f"dossier.{package}.v1.") for name in names)
    enum = pool().FindEnumTypeByName(f"dossier.{package}.v1.ErrorReason")
    assert enum.values_by_number[0].name == "ERROR_REASON_UNSPECIFIED"


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)
def test_every_rpc_says_whether_it_may_be_retried(method: MethodDescriptor) -> None:
    # Channels retry by this option, so that leaving it out would be a decision nobody took.
    options = descriptor_pb2.MethodOptions.FromString(method.GetOptions().SerializeToString())
    assert options.idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN
    assert "retry" in comments()[method.full_name]


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)
def test_every_rpc_that_answers_once_has_a_rest_route_unless_it_is_between_services(
    method: MethodDescriptor,
) -> None:
    options = descriptor_pb2.MethodOptions.FromString(method.GetOptions().SerializeToString())
    routed = options.HasExtension(annotations_pb2.http)
    assert routed == (not method.server_streaming and method.full_name not in UNARY_WITHOUT_REST)


def test_no_two_rpcs_share_a_rest_route() -> None:
    routes = []
    for method in methods():
        options = descriptor_pb2.MethodOptions.FromString(method.GetOptions().SerializeToString())
        rule = options.Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        if verb:
            routes.append((verb, re.sub(r"\{[^}]+\}", "{}", getattr(rule, verb))))
    assert len(routes) == len(set(routes)) > 0


@pytest.mark.parametrize("package", PACKAGES)
def test_reasons_named_in_rpc_comments_are_documented(package: str) -> None:
    known = set()
    for owner in {package, "context"}:
        enum = pool().FindEnumTypeByName(f"dossier.{owner}.v1.ErrorReason")
        known |= {value.name.removeprefix("ERROR_REASON_") for value in enum.values}
    for name, comment in comments().items():
        if name.startswith(f"dossier.{package}."):
            listed = re.search(r"[Ee]rror reasons: ([^.;]*)", " ".join(comment.split()))
            assert listed, f"{name} does not list its error reasons"
            assert set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", listed.group(1))) <= known, name


def reasons_in_code(folder: Path) -> set[str]:
    sources = (path.read_text() for path in folder.rglob("*.py"))
    return {
        reason
        for source in sources
        for reason in re.findall(r'^\s+reason = "([A-Z_]+)"$', source, re.MULTILINE)
    }


def test_the_kernels_reasons_are_those_of_the_shared_contract() -> None:
    values = error_reason_pb2.ErrorReason.DESCRIPTOR.values
    documented = {value.name.removeprefix("ERROR_REASON_") for value in values}
    # Families that are never raised themselves.
    families = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
    in_code = reasons_in_code(ROOT / "services" / "runtime")
    assert in_code - families <= documented
    assert documented - {"UNSPECIFIED", "ROLE_REQUIRED"} <= in_code


@pytest.mark.parametrize("package", [p for p in PACKAGES if p != "context"])
def test_a_services_reasons_in_code_are_documented_in_its_contract(package: str) -> None:
    documented = set()
    for owner in (package, "context"):
        enum = pool().FindEnumTypeByName(f"dossier.{owner}.v1.ErrorReason")
        documented |= {value.name.removeprefix("ERROR_REASON_") for value in enum.values}
    assert reasons_in_code(ROOT / "services" / package) <= documented


def test_generated_code_is_what_the_contracts_say() -> None:
    script = ROOT / "protos" / "generate.py"
    result = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_a_breaking_change_is_found(tmp_path: Path) -> None:
    broken = described()
    for file in broken.file:
        for message in file.message_type:
            if message.name == "GetEnhancementRequest":
                message.field[0].type = descriptor_pb2.FieldDescriptorProto.TYPE_INT64
    image = tmp_path / "broken.binpb"
    image.write_bytes(broken.SerializeToString())
    buf = Path(sys.executable).parent / "buf"
    released = ROOT / "protos" / "released.binpb"
    command = [str(buf), "breaking", str(image), "--config", "buf.yaml", "--against", str(released)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert 'Field "1" with name "enhancement_id"' in result.stdout
