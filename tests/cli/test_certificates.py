"""Which certificates the processes of an instance and the command have."""

import os
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from cli.authority import Authority, issue_certificates
from cli.certificates import command_tls
from cli.errors import DossierError
from cli.instance import Instance, InstanceRecord, Phase, ProcessMark
from cli.ports import WORKLOADS, Ports
from cli.supervisor.environment import compose
from services.runtime.tls import TlsFiles
from tests.support.certificates import certify


def record(*, tls: bool) -> InstanceRecord:
    return InstanceRecord(
        phase=Phase.RUNNING,
        supervisor=ProcessMark(pid=os.getpid(), created=0),
        gateway_port=8080,
        public_url="http://localhost:8080",
        first_service_port=50051,
        database="embedded",
        redis="embedded",
        tls=tls,
    )


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DOSSIER_")]:
        monkeypatch.delenv(name)


def test_every_process_is_told_of_a_certificate_of_its_own(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    issue_certificates(instance)

    composed = compose(
        instance,
        ports=Ports.starting_at(9000),
        embedded_database_url=None,
        redis_url="r",
        embedding_url="e",
        tls=True,
    )

    serials = set()
    for workload in WORKLOADS:
        files = [
            Path(composed[f"DOSSIER_{workload.upper()}_TLS_{name}_FILE"]) for name in ("CERT", "KEY", "CA")
        ]
        # Usable together, or this raises.
        issued = TlsFiles(*files).watched().current
        serials.add(load_pem_x509_certificate(issued.chain).serial_number)
    assert len(serials) == len(WORKLOADS)


def test_another_start_has_another_authority(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    issue_certificates(instance)
    before = instance.ca.read_bytes()

    issue_certificates(instance)

    assert instance.ca.read_bytes() != before


def test_the_command_shows_the_instances_certificate_or_what_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = Instance(tmp_path)
    assert command_tls(instance, record(tls=False)) is None

    given = certify(tmp_path / "given", Authority.made(), "localhost")
    monkeypatch.setenv("DOSSIER_TLS_CERT_FILE", str(given.cert))
    monkeypatch.setenv("DOSSIER_TLS_KEY_FILE", str(given.key))
    monkeypatch.setenv("DOSSIER_TLS_CA_FILE", str(given.ca))
    assert command_tls(instance, record(tls=False)) == given

    own = command_tls(instance, record(tls=True))
    assert own is not None
    assert own.cert == instance.certificate("command")


def test_half_a_configuration_of_the_command_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = certify(tmp_path / "given", Authority.made(), "localhost")
    monkeypatch.setenv("DOSSIER_CLI_TLS_CERT_FILE", str(given.cert))
    monkeypatch.setenv("DOSSIER_TLS_CA_FILE", str(given.ca))

    with pytest.raises(DossierError, match=r"DOSSIER_CLI_TLS_KEY_FILE .*: is required"):
        command_tls(Instance(tmp_path), record(tls=False))
