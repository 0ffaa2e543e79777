"""What operators write about their identity provider, and what it means."""

import re
from typing import Any

import pytest

from gateway.oidc.grants import Grant, groups_in
from gateway.settings import GatewaySettings
from services.runtime.settings import SettingsError, load_settings
from tests.support.keys import Keys

GOOD = {
    "ISSUER": "https://id.example/realms/msp",
    "AUDIENCE": "dossier-api",
    "ROLES": '{"msp-staff": "operator", "team-north": "acme:admin, globex:viewer"}',
}


def settings(keys: Keys, monkeypatch: pytest.MonkeyPatch, **oidc: str) -> GatewaySettings:
    for name, value in keys.environment.items():
        monkeypatch.setenv(name, value)
    for name, value in oidc.items():
        monkeypatch.setenv(f"DOSSIER_GATEWAY_OIDC_{name}", value)
    return load_settings(GatewaySettings)


def test_everything_can_be_said_in_the_environment(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(
        keys,
        monkeypatch,
        **GOOD,
        ALGORITHMS="RS256, EdDSA",
        AUTHORIZED_PARTIES="console,cli",
        GROUPS_CLAIM="realm_access.roles",
    )

    assert found.oidc_roles == {
        "msp-staff": (Grant(None, "operator"),),
        "team-north": (Grant("acme", "admin"), Grant("globex", "viewer")),
    }
    assert found.oidc_algorithms == ("RS256", "EdDSA")
    assert found.oidc_authorized_parties == ("console", "cli")
    assert found.oidc_groups_claim == "realm_access.roles"


def test_without_an_issuer_nothing_of_it_is_needed(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(keys, monkeypatch).oidc_issuer is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ISSUER", "http://id.example", "https://"),
        ("ISSUER", "ftp://127.0.0.1", "https://"),
        ("ISSUER", "https://", "https://"),
        ("ISSUER", "https://id.example?realm=msp", "no query"),
        ("ISSUER", "id.example", "https://"),
        ("AUDIENCE", "", "is required with DOSSIER_GATEWAY_OIDC_ISSUER"),
        ("ROLES", "{}", "is required with DOSSIER_GATEWAY_OIDC_ISSUER"),
        ("ROLES", '{"g": "admin"}', "operator, technician, viewer"),
        ("ROLES", '{"g": "service"}', "operator, technician, viewer"),
        ("ROLES", '{"g": "acme:operator"}', "admin, technician, viewer"),
        ("ROLES", '{"g": "acme:service"}', "admin, technician, viewer"),
        ("ROLES", '{"g": "-:viewer"}', "client's id"),
        ("ROLES", '{"g": ":viewer"}', "client's id"),
        ("ROLES", '{"g": "Acme:viewer"}', "client's id"),
        ("ROLES", '{"g": "acme:viewer,"}', "operator, technician, viewer"),
        ("ROLES", '{"g": ""}', "operator, technician, viewer"),
        ("ROLES", '{"g": "acme:viewer, acme:admin"}', "two roles for acme"),
        ("ROLES", '{"g": "viewer, operator"}', "two roles for all clients"),
        ("ROLES", '{"g": 7}', ""),
        ("ROLES", "staff=operator", ""),
        ("ALGORITHMS", "HS256", "RS256"),
        ("ALGORITHMS", "none", "RS256"),
        ("ALGORITHMS", "RS256,HS256", "RS256"),
    ],
)
def test_what_is_wrong_is_told_by_its_name(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    with pytest.raises(SettingsError, match=f"(?s)(OIDC_{name}|oidc_{name.lower()}).*{re.escape(told)}"):
        settings(keys, monkeypatch, **{**GOOD, name: value})


@pytest.mark.parametrize(
    "issuer", ["http://127.0.0.1:8180/realms/msp", "http://localhost:8180", "http://[::1]"]
)
def test_on_loopback_it_may_be_plain(keys: Keys, monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    assert settings(keys, monkeypatch, **{**GOOD, "ISSUER": issuer}).oidc_issuer == issuer


@pytest.mark.parametrize(
    ("claims", "claim", "groups"),
    [
        ({"groups": ["a", "b"]}, "groups", ["a", "b"]),
        ({"groups": "a"}, "groups", ["a"]),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ["a"]),
        ({"https://msp.example/groups": ["a"]}, "https://msp.example/groups", ["a"]),
        ({"a.b": ["x"], "a": {"b": ["y"]}}, "a.b", ["x"]),
        ({"realm_access": {}}, "realm_access.roles", []),
        ({"realm_access": ["roles"]}, "realm_access.roles", []),
        ({"realm_access": None}, "realm_access.roles", []),
        ({}, "groups", []),
        ({"groups": [1, None, ["a"], {"b": 1}, "c"]}, "groups", ["c"]),
    ],
)
def test_groups_are_found_where_they_are(claims: dict[str, Any], claim: str, groups: list[str]) -> None:
    assert groups_in(claims, claim) == groups
