from decimal import Decimal

from pydantic import Field, HttpUrl, SecretStr, ValidationInfo, field_validator

from services.runtime.settings import DatabaseSettings, ServiceSettings, settings_config


class SynthesisSettings(ServiceSettings, DatabaseSettings):
    model_config = settings_config("synthesis")

    grpc_port: int = Field(default=50055, ge=0, le=65535)
    metrics_port: int = Field(default=51055, ge=0, le=65535)
    retention_days: float | None = Field(default=None, ge=62)
    """How long the ledger of calls is kept where a client's own settings do not say. Unset: for good."""
    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    """Key of the language model's endpoint; without it the built-in writer writes every brief."""
    openai_base_url: HttpUrl | None = Field(default=None, validation_alias="OPENAI_BASE_URL")
    """Any endpoint that speaks the OpenAI wire format; unset means OpenAI's own."""
    llm_input_price: Decimal | None = Field(default=None, ge=0)
    """US dollars per million tokens read, for models without a published price; 0 where they are free."""
    llm_output_price: Decimal | None = Field(default=None, ge=0)
    """US dollars per million tokens written, likewise; set both or neither."""
    llm_model: str = Field(default="gpt-4.1-mini", min_length=1, validate_default=True)
    """The model asked when a tenant names none."""
    llm_timeout_seconds: float = Field(default=25, gt=0, le=600)
    """Longest wait for one answer, retries included."""
    llm_lease_seconds: float = Field(default=10, gt=0, le=600)
    """How long the answer that a killed process was buying is left to it, before another process buys it."""
    llm_attempts: int = Field(default=3, ge=1, le=10)
    """Times a call is made while the endpoint is overloaded or out of reach."""
    llm_max_completion_tokens: int = Field(default=2000, ge=256, le=32000)
    """The most tokens an answer may have."""

    @field_validator("llm_model")
    @classmethod
    def _has_a_price(cls, model: str, info: ValidationInfo) -> str:
        """With a key but without a price, every brief would fall back: better told at the start."""
        given = info.data
        if given.get("openai_api_key") is None:
            return model
        # Imported here: without a key the price tables would only take memory.
        from services.synthesis.model import PriceUnknown  # noqa: PLC0415
        from services.synthesis.prices import Prices  # noqa: PLC0415

        prices = Prices(given.get("llm_input_price"), given.get("llm_output_price"))
        if (prices.input is None) != (prices.output is None):
            raise ValueError("of the input and the output price only one is set; set both or neither")
        try:
            prices.check(model)
        except PriceUnknown as unknown:
            raise ValueError(str(unknown)) from None
        return model
