from typing import Annotated

from pydantic import AfterValidator, Field, FilePath

from services.runtime.settings import DatabaseSettings, ServiceSettings, settings_config
from services.tenants.sealing import KeyEncryptionKey


def _holds_a_key(file: FilePath) -> FilePath:
    KeyEncryptionKey.read(file)
    return file


class TenantsSettings(ServiceSettings, DatabaseSettings):
    model_config = settings_config("tenants")

    grpc_port: int = Field(default=50056, ge=0, le=65535)
    metrics_port: int = Field(default=51056, ge=0, le=65535)
    key_encryption_key_file: Annotated[FilePath, AfterValidator(_holds_a_key)]
    """32 random bytes in base64, which encrypt the keys that encrypt the tenants' secrets."""
