"""`buf curl` against the running mesh: every service by reflection, with a minted token or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mesh import Mesh

BUF = Path(sys.executable).with_name("buf")
CALLS = {
    "orchestrator": ("dossier.orchestrator.v1.OrchestratorService", "ListEnhancements", {}),
    "history": ("dossier.history.v1.HistoryService", "SearchSimilarTickets", {"subject": "VPN"}),
    "knowledge": ("dossier.knowledge.v1.KnowledgeService", "SearchArticles", {"subject": "VPN"}),
    "network": ("dossier.network.v1.NetworkService", "LookupMentions", {"text": "10.30.60.23"}),
    "synthesis": ("dossier.synthesis.v1.SynthesisService", "GetUsage", {}),
    "tenants": ("dossier.tenants.v1.TenantService", "GetTenant", {"tenantId": "acme"}),
}


def buf_curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BUF), "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("service", CALLS)
def test_every_service_is_listed_called_with_a_token_and_closed_without(mesh: Mesh, service: str) -> None:
    name, method, request = CALLS[service]
    address = f"http://localhost:{mesh.record.ports.serving(service)}"
    token = mesh.dossier("token", "--audience", service, "--tenant", mesh.tenant).stdout.strip()
    call = ("--data", json.dumps(request), f"{address}/{name}/{method}")

    listed = buf_curl("--list-methods", address)
    answered = buf_curl("--header", f"authorization: Bearer {token}", *call)
    refused = buf_curl(*call)

    assert f"{name}/{method}" in listed.stdout.split(), listed.stderr
    assert answered.returncode == 0, answered.stderr
    assert isinstance(json.loads(answered.stdout), dict)
    assert json.loads(refused.stderr)["code"] == "unauthenticated"
