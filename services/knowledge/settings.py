from pydantic import Field

from audit.settings import AuditedSettings
from embedding.settings import EmbeddingSettings
from services.runtime.settings import DatabaseSettings, settings_config


class KnowledgeSettings(AuditedSettings, DatabaseSettings, EmbeddingSettings):
    model_config = settings_config("knowledge")

    grpc_port: int = Field(default=50053, ge=0, le=65535)
    metrics_port: int = Field(default=51053, ge=0, le=65535)
