import json
import os
import stat
import time
from pathlib import Path

import orjson
import pytest

from cli.signing_keys import OVERLAP_SECONDS, SigningKeys
from services.runtime.errors import TokenInvalid
from services.runtime.tokens import TokenSigner, TokenVerifier, generate_keys
from tests.support.command import Command
from tests.support.polling import eventually

ROTATE = ("signing-keys", "rotate", "--propagation-seconds", "0", "--json", "--keys-dir")
SYNCS = 7
"""How often a rotation makes sure that what it wrote is on the disk: each is a place to be interrupted at."""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    generate_keys(tmp_path)
    return tmp_path


@pytest.fixture
def signer(keys: Path) -> TokenSigner:
    return TokenSigner(keys / "signing.jwk")


@pytest.fixture
def verifier(keys: Path) -> TokenVerifier:
    return TokenVerifier(keys / "jwks.json", "history")


def mint(signer: TokenSigner, *, ttl_seconds: int = 300) -> str:
    return signer.mint(
        audience="history", tenant="acme", subject="test", role="service", ttl_seconds=ttl_seconds
    )


def good(verifier: TokenVerifier, token: str) -> bool:
    try:
        verifier.verify(token)
    except TokenInvalid:
        return False
    return True


def states(command: Command, keys: Path) -> dict[str, str]:
    done = command("signing-keys", "list", "--json", "--keys-dir", str(keys))
    return {each["id"]: each["state"] for each in done.object["keys"]}


def test_after_a_rotation_the_new_key_signs_and_the_former_is_still_believed(
    command: Command, keys: Path, signer: TokenSigner, verifier: TokenVerifier
) -> None:
    former, before = signer.key_id, mint(signer)
    verifier.verify(before)

    done = command(*ROTATE, str(keys))

    assert done.code == 0, done.problems
    assert signer.key_id != former
    assert states(command, keys) == {signer.key_id: "signing", former: "retiring"}
    assert good(verifier, before)
    assert good(verifier, mint(signer))
    (retiring,) = [each for each in orjson.loads((keys / "jwks.json").read_bytes())["keys"] if "exp" in each]
    assert retiring["exp"] - time.time() == pytest.approx(OVERLAP_SECONDS, abs=10)


def test_a_retired_keys_tokens_are_refused_and_the_next_rotation_drops_it(
    command: Command, keys: Path, signer: TokenSigner, verifier: TokenVerifier
) -> None:
    former, before = signer.key_id, mint(signer, ttl_seconds=3600)

    command(*ROTATE, str(keys), "--overlap-seconds", "2")
    assert good(verifier, before)

    eventually(lambda: not good(verifier, before), what="the end of the former key", timeout_seconds=5)
    assert states(command, keys)[former] == "retired"
    command(*ROTATE, str(keys))
    assert former not in states(command, keys)


def test_a_key_that_leaked_ends_at_once(
    command: Command, keys: Path, signer: TokenSigner, verifier: TokenVerifier
) -> None:
    before = mint(signer)
    verifier.verify(before)

    command(*ROTATE, str(keys), "--overlap-seconds", "0")

    assert not good(verifier, before)
    assert good(verifier, mint(signer))


def test_a_shorter_overlap_goes_for_keys_that_were_retiring_already(
    command: Command, keys: Path, signer: TokenSigner, verifier: TokenVerifier
) -> None:
    before = mint(signer)
    command(*ROTATE, str(keys))
    command(*ROTATE, str(keys), "--overlap-seconds", "0")
    assert not good(verifier, before)


@pytest.mark.parametrize("interrupted_at", range(1, SYNCS + 1))
def test_a_rotation_interrupted_anywhere_refuses_nobody_and_goes_on_when_repeated(
    *,
    command: Command,
    keys: Path,
    signer: TokenSigner,
    verifier: TokenVerifier,
    monkeypatch: pytest.MonkeyPatch,
    interrupted_at: int,
) -> None:
    former, before = signer.key_id, mint(signer)
    sync, seen = os.fsync, 0

    def interrupting(descriptor: int) -> None:
        nonlocal seen
        seen += 1
        if seen == interrupted_at:
            raise KeyboardInterrupt
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupting)
        assert command(*ROTATE, str(keys)).code != 0
    assert good(verifier, before)
    assert good(verifier, mint(signer))

    # Only the last was all done: there another rotation begins.
    assert command(*ROTATE, str(keys)).code == 0
    there = states(command, keys)
    assert len(there) == (3 if interrupted_at == SYNCS else 2)
    assert there[former] == "retiring"
    assert list(there.values()).count("signing") == 1
    assert good(verifier, before)
    assert good(verifier, mint(signer))


def test_a_rotation_has_no_other_places_to_be_interrupted_at(
    command: Command, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, seen = os.fsync, 0

    def counting(descriptor: int) -> None:
        nonlocal seen
        seen += 1
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", counting)

    command(*ROTATE, str(keys))

    assert seen == SYNCS


def test_a_key_is_published_first_and_promoted_when_it_has_come_everywhere(
    command: Command, keys: Path, signer: TokenSigner, verifier: TokenVerifier
) -> None:
    former = signer.key_id
    early = command("signing-keys", "promote", "--json", "--keys-dir", str(keys))
    assert early.code == 1
    assert "signing-keys publish" in early.error["hint"]

    for _ in range(2):
        command("signing-keys", "publish", "--json", "--keys-dir", str(keys))
        assert sorted(states(command, keys).values()) == ["published", "signing"]
        assert signer.key_id == former

    command("signing-keys", "promote", "--json", "--keys-dir", str(keys))
    assert states(command, keys) == {signer.key_id: "signing", former: "retiring"}
    assert good(verifier, mint(signer))


def test_a_dry_run_says_what_would_be_done_and_does_nothing(command: Command, keys: Path) -> None:
    before = {path.name: path.read_bytes() for path in keys.iterdir()}

    done = command(*ROTATE, str(keys), "--dry-run")

    assert [step.split()[0] for step in done.object["steps"]] == ["publish", "sign", "let"]
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before


def test_two_rotations_at_once_are_one_and_a_clear_refusal(command: Command, keys: Path) -> None:
    with SigningKeys(keys).locked():
        refused = command(*ROTATE, str(keys))

    assert refused.code == 1
    assert "by somebody else" in refused.error["message"]


def test_private_keys_stay_private(command: Command, keys: Path) -> None:
    command("signing-keys", "publish", "--json", "--keys-dir", str(keys))
    shown = command("signing-keys", "list", "--keys-dir", str(keys)).out

    for name in ("signing.jwk", "signing.next.jwk"):
        assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
        assert json.loads((keys / name).read_bytes())["d"] not in shown
    assert all("d" not in each for each in json.loads((keys / "jwks.json").read_bytes())["keys"])


@pytest.mark.parametrize("content", [None, b"{"])
def test_a_folder_without_keys_is_told_with_the_next_step(
    command: Command, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "signing.jwk").write_bytes(content)

    refused = command("signing-keys", "list", "--json", "--keys-dir", str(tmp_path))

    assert refused.code == 1
    assert "dossier up" in refused.error["hint"]


@pytest.mark.parametrize("verb", ["publish", "rotate", "promote", "list"])
def test_a_folder_without_keys_is_refused_and_left_empty(command: Command, tmp_path: Path, verb: str) -> None:
    done = command("signing-keys", verb, "--keys-dir", str(tmp_path), "--json")

    assert done.code == 1
    assert "holds no keys" in done.error["message"]
    assert list(tmp_path.iterdir()) == []
