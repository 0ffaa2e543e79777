"""What the command shows to services that speak mutual TLS only."""

from cli.errors import DossierError
from cli.instance import COMMAND, Instance, InstanceRecord
from services.runtime.settings import (
    EnvironmentSettings,
    SettingsError,
    TlsSettings,
    load_settings,
    settings_config,
)
from services.runtime.tls import TlsFiles


class _CommandSettings(EnvironmentSettings, TlsSettings):
    model_config = settings_config("cli")


def command_tls(instance: Instance, record: InstanceRecord) -> TlsFiles | None:
    """Choose the instance's certificate for the command, or the one that the environment names."""
    if record.tls:
        return TlsFiles(instance.certificate(COMMAND), instance.certificate_key(COMMAND), instance.ca)
    try:
        return load_settings(_CommandSettings).tls
    except SettingsError as problems:
        raise DossierError(
            f"The command's settings of TLS are wrong: {problems}",
            hint="Name all three files (certificate, key, CA), or unset the variables.",
        ) from problems
