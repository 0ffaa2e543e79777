from pydantic import Field

from audit.settings import AuditedSettings
from embedding.settings import EmbeddingSettings
from services.runtime.settings import DatabaseSettings, settings_config


class HistorySettings(AuditedSettings, DatabaseSettings, EmbeddingSettings):
    model_config = settings_config("history")

    grpc_port: int = Field(default=50052, ge=0, le=65535)
    metrics_port: int = Field(default=51052, ge=0, le=65535)
    retention_days: float | None = Field(default=None, ge=30)
    """How long past tickets are kept where a client's own settings do not say. Unset: for good."""
