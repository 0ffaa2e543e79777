import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2

from cli.authority import Authority
from services.runtime.errors import error_info
from services.runtime.settings import SettingsError, load_settings
from services.runtime.tls import TlsFiles
from tests.runtime.harness import EchoSettings, channel_to, echo_service
from tests.support.certificates import certify
from tests.support.grpc_echo import EchoStub, echo
from tests.support.keys import Keys

US = ("spiffe://example.org/ns/dossier/sa/test", "localhost", "127.0.0.1")
"""Both ends of these tests: a caller whose tokens name the subject `test`, and a server on loopback."""


async def say(text: str) -> str:
    return text.upper()


@pytest.fixture
def authority() -> Authority:
    return Authority.made()


@pytest.fixture
def ours(tmp_path: Path, authority: Authority) -> TlsFiles:
    return certify(tmp_path / "ours", authority, *US)


async def refusal(target: str, keys: Keys, tls: TlsFiles | None) -> grpc.aio.AioRpcError:
    async with channel_to(target, keys, tls=tls) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await EchoStub(channel).Say(echo("x"), timeout=5)
    return caught.value


async def test_every_kind_of_call_works_with_certificates_on_both_sides(keys: Keys, ours: TlsFiles) -> None:
    async with echo_service(keys, say, tls=ours) as service:
        said = await service.stub.Say(echo("a"))
        repeated = [each.text async for each in service.stub.Repeat(echo("a"))]
        collected = await service.stub.Collect(iter([echo("a"), echo("b")]))
        chatted = [each.text async for each in service.stub.Chat(iter([echo("a")]))]

    assert said.text == "A"
    assert repeated
    assert collected.text
    assert chatted


async def test_a_client_without_a_certificate_is_refused(keys: Keys, ours: TlsFiles) -> None:
    async with echo_service(keys, say, tls=ours) as service:
        credentials = grpc.ssl_channel_credentials(ours.ca.read_bytes())
        async with grpc.aio.secure_channel(service.running.target, credentials) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await EchoStub(channel).Say(echo("x"), metadata=keys.metadata("echo"), timeout=5)
            assert caught.value.code() is StatusCode.UNAVAILABLE
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            # Not even how the service is may be asked.
            with pytest.raises(grpc.aio.AioRpcError):
                await check(health_pb2.HealthCheckRequest(), timeout=5)

        assert (await refusal(service.running.target, keys, None)).code() is StatusCode.UNAVAILABLE
        assert (await service.stub.Say(echo("still"))).text == "STILL"


async def test_a_client_of_another_authority_is_refused(
    keys: Keys, tmp_path: Path, authority: Authority, ours: TlsFiles
) -> None:
    theirs = certify(tmp_path / "theirs", Authority.made(), *US)
    theirs.ca.write_bytes(authority.pem)

    async with echo_service(keys, say, tls=ours) as service:
        assert (await refusal(service.running.target, keys, theirs)).code() is StatusCode.UNAVAILABLE


async def test_a_server_of_another_authority_is_refused(
    keys: Keys, tmp_path: Path, authority: Authority, ours: TlsFiles
) -> None:
    theirs = certify(tmp_path / "theirs", Authority.made(), *US)
    certified_by_us = authority.issue(US)
    mixed = TlsFiles(tmp_path / "mixed.crt", tmp_path / "mixed.key", theirs.ca)
    mixed.cert.write_bytes(certified_by_us.chain)
    mixed.key.write_bytes(certified_by_us.key)

    async with echo_service(keys, say, tls=ours) as service:
        refused = await refusal(service.running.target, keys, mixed)

    assert refused.code() is StatusCode.UNAVAILABLE
    assert "handshake failed" in str(refused.details())


@pytest.mark.parametrize("side", ["client", "server"])
async def test_an_expired_certificate_is_refused(
    keys: Keys, tmp_path: Path, authority: Authority, ours: TlsFiles, side: str
) -> None:
    until = datetime.now(UTC) - timedelta(seconds=1)
    expired = certify(tmp_path / "expired", authority, *US, until=until)
    server, client = (ours, expired) if side == "client" else (expired, ours)

    async with echo_service(keys, say, tls=server) as service:
        assert (await refusal(service.running.target, keys, client)).code() is StatusCode.UNAVAILABLE


async def test_a_server_of_another_name_is_refused(
    keys: Keys, tmp_path: Path, authority: Authority, ours: TlsFiles
) -> None:
    elsewhere = certify(tmp_path / "elsewhere", authority, US[0], "history.dossier.svc")

    async with echo_service(keys, say, tls=elsewhere) as service:
        refused = await refusal(service.running.target, keys, ours)

    assert refused.code() is StatusCode.UNAVAILABLE
    assert "127.0.0.1" in str(refused.details())


@pytest.mark.parametrize(
    "name", ["spiffe://example.org/test", "spiffe://example.org/ns/a/sa/test", "test.dossier.svc", "test"]
)
async def test_a_certificate_names_its_workload_by_spiffe_or_dns(
    keys: Keys, tmp_path: Path, authority: Authority, ours: TlsFiles, name: str
) -> None:
    client = certify(tmp_path / "client", authority, "localhost", name)

    async with (
        echo_service(keys, say, tls=ours) as service,
        channel_to(service.running.target, keys, tls=client) as channel,
    ):
        assert (await EchoStub(channel).Say(echo("x"))).text == "X"


@pytest.mark.parametrize(
    "name", ["spiffe://example.org/network", "spiffe://test/network", "network.test", "tester", "127.0.0.1"]
)
async def test_a_stolen_token_is_of_no_use_to_another_workload(
    keys: Keys, tmp_path: Path, authority: Authority, ours: TlsFiles, name: str
) -> None:
    heard = []

    async def listen(text: str) -> str:
        heard.append(text)
        return text

    thief = certify(tmp_path / "thief", authority, name)
    async with echo_service(keys, listen, tls=ours) as service:
        refused = await refusal(service.running.target, keys, thief)

    assert refused.code() is StatusCode.UNAUTHENTICATED
    info = error_info(refused)
    assert info is not None
    assert (info.reason, dict(info.metadata)) == ("CERTIFICATE_MISMATCH", {"subject": "test"})
    assert heard == []


async def test_renewed_certificates_are_taken_without_a_restart_and_break_no_call(
    keys: Keys, tmp_path: Path, ours: TlsFiles
) -> None:
    """Even of another authority, after which only the new certificates are good for a connection."""
    client = TlsFiles(tmp_path / "c.crt", tmp_path / "c.key", tmp_path / "c.ca")
    for there, here in ((ours.cert, client.cert), (ours.key, client.key), (ours.ca, client.ca)):
        here.write_bytes(there.read_bytes())
    done = asyncio.Event()

    async def wait(text: str) -> str:
        if text == "wait":
            await done.wait()
        return text

    async with (
        echo_service(keys, wait, tls=ours) as service,
        channel_to(service.running.target, keys, tls=client) as channel,
    ):
        stub = EchoStub(channel)
        under_way = asyncio.ensure_future(stub.Say(echo("wait")))
        assert (await stub.Say(echo("before"))).text == "before"

        renewed = certify(tmp_path / "ours", Authority.made(), *US)
        assert renewed == ours
        refused = await refusal(service.running.target, keys, client)
        assert refused.code() is StatusCode.UNAVAILABLE
        for there, here in ((ours.cert, client.cert), (ours.key, client.key), (ours.ca, client.ca)):
            here.write_bytes(there.read_bytes())

        assert (await stub.Say(echo("after"))).text == "after"
        done.set()
        assert (await under_way).text == "wait"


async def test_a_caller_that_connects_anew_shows_its_renewed_certificate(
    keys: Keys, tmp_path: Path, ours: TlsFiles
) -> None:
    async with echo_service(keys, say, tls=ours) as service:
        # Nothing has connected yet; the authority that certified both is believed no longer afterwards.
        certify(tmp_path / "ours", Authority.made(), *US)

        assert (await service.stub.Say(echo("x"))).text == "X"


@pytest.mark.parametrize("broken", ["cert", "key", "ca"])
async def test_files_that_cannot_be_used_break_nothing(
    keys: Keys, tmp_path: Path, authority: Authority, ours: TlsFiles, broken: str
) -> None:
    async with echo_service(keys, say, tls=ours) as service:
        other = certify(tmp_path / "other", authority, *US)
        getattr(ours, broken).write_bytes(other.key.read_bytes())

        assert (await service.stub.Say(echo("kept"))).text == "KEPT"
        async with channel_to(service.running.target, keys, tls=other) as channel:
            assert (await EchoStub(channel).Say(echo("new"))).text == "NEW"


def settings_problem(monkeypatch: pytest.MonkeyPatch, keys: Keys, **files: Path) -> str:
    for name, value in keys.environment.items():
        monkeypatch.setenv(name, value)
    for name, path in files.items():
        monkeypatch.setenv(f"DOSSIER_TLS_{name.upper()}_FILE", str(path))
    with pytest.raises(SettingsError) as caught:
        load_settings(EchoSettings)
    return str(caught.value)


@pytest.mark.parametrize("missing", ["cert", "key", "ca"])
def test_half_a_configuration_stops_the_start_and_names_what_is_missing(
    keys: Keys, ours: TlsFiles, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    files = {"cert": ours.cert, "key": ours.key, "ca": ours.ca}
    del files[missing]

    said = settings_problem(monkeypatch, keys, **files)

    variable = f"TLS_{missing.upper()}_FILE"
    assert said.startswith(f"DOSSIER_ECHO_{variable} (or DOSSIER_{variable}): is required")
    assert len(said.splitlines()) == 1


def test_a_key_that_is_not_the_certificates_stops_the_start(
    keys: Keys, tmp_path: Path, authority: Authority, ours: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certify(tmp_path / "other", authority, *US)

    said = settings_problem(monkeypatch, keys, cert=ours.cert, key=other.key, ca=ours.ca)

    assert "the key is not the certificate's" in said
    assert "DOSSIER_ECHO_TLS_CERT_FILE" in said


def test_a_service_may_have_a_certificate_of_its_own(
    keys: Keys, tmp_path: Path, authority: Authority, ours: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = certify(tmp_path / "own", authority, *US)
    for name, value in keys.environment.items():
        monkeypatch.setenv(name, value)
    for name, shared in (("CERT", ours.cert), ("KEY", ours.key), ("CA", ours.ca)):
        monkeypatch.setenv(f"DOSSIER_TLS_{name}_FILE", str(shared))
    monkeypatch.setenv("DOSSIER_ECHO_TLS_CERT_FILE", str(own.cert))
    monkeypatch.setenv("DOSSIER_ECHO_TLS_KEY_FILE", str(own.key))

    assert load_settings(EchoSettings).tls == TlsFiles(own.cert, own.key, ours.ca)
