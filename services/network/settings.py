from pydantic import Field

from audit.settings import AuditedSettings
from services.runtime.settings import DatabaseSettings, settings_config


class NetworkSettings(AuditedSettings, DatabaseSettings):
    model_config = settings_config("network")

    grpc_port: int = Field(default=50054, ge=0, le=65535)
    metrics_port: int = Field(default=51054, ge=0, le=65535)
