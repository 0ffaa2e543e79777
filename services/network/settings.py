from pydantic import Field

from services.runtime.settings import DatabaseSettings, ServiceSettings, settings_config


class NetworkSettings(ServiceSettings, DatabaseSettings):
    model_config = settings_config("network")

    grpc_port: int = Field(default=50054, ge=0, le=65535)
    metrics_port: int = Field(default=51054, ge=0, le=65535)
