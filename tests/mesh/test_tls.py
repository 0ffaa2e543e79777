"""A mesh of its own, as `dossier up --tls` starts it: everything works, and nothing without a certificate."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.ports import SERVICES
from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_SUCCEEDED
from tests.support.leaks import Watch
from tests.support.mesh import Mesh, running_mesh
from tests.support.otlp import Receiver

BUF = Path(sys.executable).with_name("buf")
LIST = "dossier.orchestrator.v1.OrchestratorService/ListEnhancements"


@pytest.fixture(scope="module")
def encrypted(server_home: Path, otlp: Receiver, watch: Watch) -> Iterator[Mesh]:
    with running_mesh(server_home / "tls", otlp_endpoint=otlp.endpoint, tls=True) as mesh:
        watch.keep_keys_of(mesh.instance)
        yield mesh


def buf_curl(mesh: Mesh, holder: str | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    instance = mesh.instance
    shown = ["--cacert", str(instance.ca)]
    if holder is not None:
        shown += ["--cert", str(instance.certificate(holder)), "--key", str(instance.certificate_key(holder))]
    return subprocess.run(
        [str(BUF), "curl", "--protocol", "grpc", *shown, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def address(mesh: Mesh, service: str) -> str:
    return f"https://localhost:{mesh.record.ports.serving(service)}"


async def test_a_ticket_becomes_a_note(encrypted: Mesh) -> None:
    ended = await encrypted.ended(encrypted.accepted("VPN drops every few minutes"))
    assert ended.state == ENHANCEMENT_STATE_SUCCEEDED
    assert len(ended.brief.sections) > 1


def test_rest_and_the_command_work(encrypted: Mesh) -> None:
    with encrypted.http() as http:
        assert http.get("/v1/enhancements").status_code == 200
    status = json.loads(encrypted.dossier("status", "--json").stdout)
    assert (status["ready"], status["tls"]) == (True, True)
    shown = encrypted.dossier("tenant", "list", "--json")
    assert encrypted.tenant in shown.stdout, shown.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_reflection_takes_a_certificate(encrypted: Mesh, service: str) -> None:
    listed = buf_curl(encrypted, "command", "--list-methods", address(encrypted, service))
    refused = buf_curl(encrypted, None, "--list-methods", address(encrypted, service))

    assert "grpc.health.v1.Health/Check" in listed.stdout.split(), listed.stderr
    assert refused.returncode != 0
    assert refused.stdout == ""


def test_a_users_token_goes_with_the_users_certificate_and_no_other(encrypted: Mesh) -> None:
    token = encrypted.dossier("token", "--tenant", encrypted.tenant).stdout.strip()
    call = ("--header", f"authorization: Bearer {token}", f"{address(encrypted, 'orchestrator')}/{LIST}")

    answered = buf_curl(encrypted, "command", *call)
    stolen = buf_curl(encrypted, "history", *call)

    assert answered.returncode == 0, answered.stderr
    assert "client certificate" in json.loads(stolen.stderr)["message"]


def test_the_certificates_are_their_owners_and_the_authoritys_key_is_nowhere(encrypted: Mesh) -> None:
    files = list(encrypted.instance.certificates.iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert {file.name for file in files if file.name.startswith("ca")} == {"ca.crt"}


def test_up_does_not_change_a_running_instances_mind(encrypted: Mesh) -> None:
    again = encrypted.dossier("up", "--tls", "--detach", "--json")
    assert json.loads(again.stdout)["tls"] is True, again.stderr
