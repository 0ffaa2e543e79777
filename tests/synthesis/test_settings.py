import subprocess
import sys

import httpx
import pytest

from services.runtime.settings import SettingsError, load_settings
from services.synthesis.settings import SynthesisSettings
from tests.support.keys import Keys
from tests.support.llm_endpoint import Answer, LlmEndpoint
from tests.synthesis.client import TUNNEL, Arrangement, form


@pytest.fixture(autouse=True)
def _required(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
    monkeypatch.setenv("DOSSIER_DATABASE_URL", "postgresql://dossier_synthesis@localhost/dossier")
    for name, value in keys.environment.items():
        monkeypatch.setenv(name, value)


def test_a_model_without_a_price_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("DOSSIER_SYNTHESIS_LLM_MODEL", "homegrown-7b")
    with pytest.raises(SettingsError) as wrong:
        load_settings(SynthesisSettings)
    assert "DOSSIER_SYNTHESIS_LLM_MODEL" in str(wrong.value)
    assert "no price is known for the model homegrown-7b" in str(wrong.value)
    assert "very-secret" not in str(wrong.value)


def test_half_a_price_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("DOSSIER_LLM_INPUT_PRICE", "1")
    with pytest.raises(SettingsError, match="set both or neither"):
        load_settings(SynthesisSettings)


@pytest.mark.parametrize("priced", [False, True])
def test_a_price_is_asked_for_only_where_a_model_is(monkeypatch: pytest.MonkeyPatch, *, priced: bool) -> None:
    monkeypatch.setenv("DOSSIER_SYNTHESIS_LLM_MODEL", "homegrown-7b")
    if priced:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
        monkeypatch.setenv("DOSSIER_SYNTHESIS_LLM_INPUT_PRICE", "0")
        monkeypatch.setenv("DOSSIER_SYNTHESIS_LLM_OUTPUT_PRICE", "0")
    settings = load_settings(SynthesisSettings)
    assert settings.llm_model == "homegrown-7b"
    assert "very-secret" not in repr(settings)


_LOADED_WITHOUT_A_KEY = """
import asyncio, sys
from contextlib import AsyncExitStack
from services.runtime.settings import load_settings
from services.synthesis.service import build
from services.synthesis.settings import SynthesisSettings

async def main():
    await build(load_settings(SynthesisSettings), AsyncExitStack())

asyncio.run(main())
print(sorted({"openai", "genai_prices", "httpx2"} & set(sys.modules)))
"""


@pytest.mark.parametrize(("key", "loaded"), [("", []), ("sk-1", ["genai_prices", "httpx2", "openai"])])
def test_the_sdk_and_the_prices_are_loaded_only_with_a_key(
    monkeypatch: pytest.MonkeyPatch, key: str, loaded: list[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    run = subprocess.run(
        [sys.executable, "-c", _LOADED_WITHOUT_A_KEY], capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == str(loaded), run.stderr


async def test_metrics_count_what_was_bought_once(arrangement: Arrangement, endpoint: LlmEndpoint) -> None:
    endpoint.reply(Answer(form(first_steps=[("Restarted IKE on VNL-FW02.", [TUNNEL.id])]), 700, 30))

    async def metric(line: str) -> float:
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"{service.metrics_url}/metrics")).text
        return float(next(each for each in text.splitlines() if each.startswith(line)).rpartition(" ")[2])

    async with arrangement.service(endpoint) as service:
        prompt = 'dossier_synthesis_tokens_total{kind="prompt"}'
        briefs = 'dossier_synthesis_briefs_total{fallback="no",writer="llm"}'
        await service.acme.write()
        tokens, written = await metric(prompt), await metric(briefs)
        await service.acme.write()
        assert await metric(prompt) == tokens
        assert await metric(briefs) == written + 1
