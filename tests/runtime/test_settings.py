from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError, field_validator

from services.runtime.serve import EXIT_BAD_SETTINGS, Service, run
from services.runtime.settings import (
    DatabaseSettings,
    ServiceSettings,
    SettingsError,
    load_settings,
    settings_config,
)
from tests.support.keys import Keys


class KettleSettings(ServiceSettings, DatabaseSettings):
    model_config = settings_config("kettle")

    grpc_port: int = 50099
    metrics_port: int = 51099
    cup_target: str = "localhost:50098"
    api_key: SecretStr

    @field_validator("api_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value()) < 8:
            raise ValueError(f"{key.get_secret_value()} is too short")
        return key


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> pytest.MonkeyPatch:
    for name, value in keys.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DOSSIER_DATABASE_URL", "postgresql://kettle:hunter2@db/dossier")
    monkeypatch.setenv("DOSSIER_KETTLE_API_KEY", "long-enough-key")
    return monkeypatch


def test_a_field_comes_from_the_services_own_name_before_the_shared_one(
    environment: pytest.MonkeyPatch,
) -> None:
    assert load_settings(KettleSettings).database_url.get_secret_value().endswith("@db/dossier")
    environment.setenv("DOSSIER_KETTLE_DATABASE_URL", "postgresql://own/dossier")
    assert load_settings(KettleSettings).database_url.get_secret_value() == "postgresql://own/dossier"


def test_another_services_target_has_one_name_for_everybody(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DOSSIER_CUP_TARGET", "cup:1")
    assert load_settings(KettleSettings).cup_target == "cup:1"


def test_all_problems_are_named_at_once_and_no_secret_is_among_them(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("DOSSIER_DATABASE_URL")
    environment.setenv("DOSSIER_TOKEN_JWKS_FILE", "/nowhere/jwks.json")
    environment.setenv("DOSSIER_KETTLE_GRPC_PORT", "many")
    environment.setenv("DOSSIER_KETTLE_API_KEY", "hunter2")
    environment.setenv("DOSSIER_LOG_FORMAT", "yaml")
    with pytest.raises(SettingsError) as caught:
        load_settings(KettleSettings)
    lines = sorted(str(caught.value).splitlines())
    assert [line.split(": ")[0] for line in lines] == [
        "DOSSIER_KETTLE_API_KEY (or DOSSIER_API_KEY)",
        "DOSSIER_KETTLE_DATABASE_URL (or DOSSIER_DATABASE_URL)",
        "DOSSIER_KETTLE_GRPC_PORT (or DOSSIER_GRPC_PORT)",
        "DOSSIER_KETTLE_LOG_FORMAT (or DOSSIER_LOG_FORMAT)",
        "DOSSIER_KETTLE_TOKEN_JWKS_FILE (or DOSSIER_TOKEN_JWKS_FILE)",
    ]
    assert "hunter2" not in str(caught.value)


def test_settings_cannot_be_changed_and_print_no_secret(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings(KettleSettings)
    assert "hunter2" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.grpc_port = 1


def test_a_service_with_wrong_settings_does_not_start_and_says_why(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv("DOSSIER_KETTLE_API_KEY")

    async def build(*_: object) -> Service:
        raise AssertionError("it must not be built")

    assert run("kettle", KettleSettings, build) == EXIT_BAD_SETTINGS
    assert "DOSSIER_KETTLE_API_KEY (or DOSSIER_API_KEY): is required" in capsys.readouterr().err


def test_a_signing_key_can_be_required_by_who_needs_it(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class CallingSettings(KettleSettings):
        token_signing_key_file: Path

    environment.delenv("DOSSIER_TOKEN_SIGNING_KEY_FILE")
    with pytest.raises(SettingsError, match=r"TOKEN_SIGNING_KEY_FILE.*: is required"):
        load_settings(CallingSettings)
