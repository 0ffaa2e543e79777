"""Which embedder a service uses."""

from pydantic import BaseModel, Field, SecretStr, field_validator

from embedding.contract import Embedder
from embedding.endpoint import Endpoint
from embedding.nothing import NoEmbedder


class EmbeddingSettings(BaseModel):
    """Mixed into the settings of a service that embeds."""

    embedding_base_url: str | None = None
    """An endpoint that speaks OpenAI's embeddings: `https://…/v1`, or `unix://` and a socket. Unset, or
    `none`: words alone are compared."""
    embedding_model: str = Field(default="all-MiniLM-L6-v2", min_length=1, max_length=128)
    """The model asked for. What another one made is embedded again, in the background."""
    embedding_api_key: SecretStr | None = None
    """What the endpoint wants as a bearer, if anything."""
    embedding_seconds: float = Field(default=1, gt=0, le=60)
    """Longest wait for the vector of a question; then words alone are compared."""

    @field_validator("embedding_base_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url not in {None, "none"} and not url.startswith(("http://", "https://", "unix:///")):
            raise ValueError("must begin http://, https:// or unix:///")
        return url

    def embedder(self) -> Embedder:
        if self.embedding_base_url in {None, "none"}:
            return NoEmbedder()
        key = self.embedding_api_key.get_secret_value() if self.embedding_api_key else None
        return Endpoint(
            self.embedding_base_url,
            model=self.embedding_model,
            api_key=key,
            seconds=self.embedding_seconds,
        )
