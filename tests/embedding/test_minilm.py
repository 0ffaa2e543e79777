"""The embedding server as a process, spoken to in OpenAI's wire format with OpenAI's own client."""

import asyncio
import math
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest

from embedding.minilm.encoder import Encoded
from embedding.minilm.export import prepared
from embedding.minilm.turns import Turns
from tests.support.embedder import API_KEY, EmbedderServer

MODEL = "all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def folder(embedder: EmbedderServer) -> Path:
    return embedder.folder


@pytest.fixture(scope="module")
def url(embedder: EmbedderServer) -> str:
    return embedder.url


@pytest.fixture
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=API_KEY, max_retries=0)


def cosines(client: openai.OpenAI, texts: Sequence[str]) -> list[float]:
    """Of each text with the next."""
    vectors = [each.embedding for each in client.embeddings.create(model=MODEL, input=list(texts)).data]
    return [sum(a * b for a, b in zip(one, other, strict=True)) for one, other in pairwise(vectors)]


def test_texts_that_mean_the_same_are_close(client: openai.OpenAI) -> None:
    # What Sentence-Transformers itself says of these: 0.7553 and -0.1050 for the first with the third.
    same, other = cosines(
        client,
        ["A man is eating a piece of bread.", "A man is eating food.", "The girl is carrying a baby."],
    )
    assert same == pytest.approx(0.755, abs=0.03)
    assert other == pytest.approx(-0.105, abs=0.05)


def test_a_vector_is_of_length_one_and_the_same_whoever_shares_its_batch(client: openai.OpenAI) -> None:
    alone = client.embeddings.create(model=MODEL, input="printer offline", encoding_format="float").data[0]
    long = "the spooler stops after the update " * 40
    shared = client.embeddings.create(model=MODEL, input=[long, "printer offline", long]).data[1]
    assert len(alone.embedding) == 384
    assert math.hypot(*alone.embedding) == pytest.approx(1, abs=1e-4)
    assert alone.embedding == pytest.approx(shared.embedding, abs=1e-5)


def test_answers_come_in_the_order_of_the_texts(client: openai.OpenAI) -> None:
    texts = ["x " * length for length in (90, 1, 40, 3, 200, 7, 15, 2, 60, 5)]
    together = client.embeddings.create(model=MODEL, input=texts)
    assert [each.index for each in together.data] == list(range(10))
    for text, each in zip(texts, together.data, strict=True):
        alone = client.embeddings.create(model=MODEL, input=text).data[0].embedding
        assert sum(a * b for a, b in zip(alone, each.embedding, strict=True)) > 0.9999


def test_what_is_not_a_question_is_refused_with_its_field(client: openai.OpenAI, url: str) -> None:
    for wrong, field in (
        ({"model": "gpt", "input": "x"}, "model"),
        ({"model": MODEL, "input": []}, "input"),
        ({"model": MODEL, "input": ""}, "input"),
        ({"model": MODEL, "input": "x", "dimensions": 512}, "dimensions"),
    ):
        with pytest.raises(openai.BadRequestError, match=field):
            client.post("/embeddings", body=wrong, cast_to=object)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{url}/v1", api_key="other").embeddings.create(model=MODEL, input="x")
    large = httpx.post(
        f"{url}/v1/embeddings",
        content=b" " * (17 * 1024 * 1024),
        headers={"authorization": f"Bearer {API_KEY}"},
        trust_env=False,
    )
    assert large.status_code == 413


def test_odd_texts_have_vectors(client: openai.OpenAI) -> None:
    odd = ["\0", " ", "🙂" * 500, "a" * 100_000, "打印机坏了", "\ud7ff", "1234567890 " * 1000]
    for each in client.embeddings.create(model=MODEL, input=odd).data:
        assert math.hypot(*each.embedding) == pytest.approx(1, abs=1e-3)


def test_the_models_file_is_made_once(folder: Path, url: str) -> None:
    (file,) = folder.glob("*.onnx")
    made = file.stat().st_mtime_ns
    assert prepared(folder) == file
    assert file.stat().st_mtime_ns == made
    assert url


def test_it_is_prepared_for_an_image(tmp_path: Path) -> None:
    argv = [sys.executable, "-P", "-m", "embedding.minilm", "--prepare"]
    done = subprocess.run(argv, env={"DOSSIER_EMBEDDER_FOLDER": str(tmp_path)}, timeout=120, check=False)
    assert done.returncode == 0
    assert [each.suffix for each in tmp_path.iterdir() if each.suffix == ".onnx"] == [".onnx"]


class Recorded:
    """An encoder that takes no time, and tells what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def encode(self, texts: Sequence[str]) -> Encoded:
        if "broken" in texts:
            raise ValueError("broken")
        self.batches.append(list(texts))
        return Encoded(np.ones((len(texts), 2), np.float32), len(texts))


async def test_a_question_waits_for_one_batch_of_an_import_at_most() -> None:
    encoder = Recorded()
    turns = Turns(encoder.encode)
    imports = [
        asyncio.create_task(turns.encoded([f"{name}{n:02}" for n in range(24)])) for name in ("a", "b")
    ]
    question = asyncio.create_task(turns.encoded(["why"]))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        serving = asyncio.create_task(turns.serve())
        answers = await asyncio.gather(question, *imports)
    serving.cancel()
    assert encoder.batches[0] == ["why"]
    assert [batch[0][0] for batch in encoder.batches[1:]] == ["a", "b", "a", "b", "a", "b"]
    assert [len(answer.vectors) for answer in answers] == [1, 24, 24]


async def test_a_batch_that_fails_is_nobody_elses_trouble() -> None:
    turns = Turns(Recorded().encode)
    serving = asyncio.create_task(turns.serve())
    async with asyncio.timeout(10):
        with pytest.raises(ValueError, match="broken"):
            await turns.encoded(["broken"])
        assert (await turns.encoded(["fine"])).tokens == 1
    serving.cancel()


async def test_who_goes_away_is_not_encoded() -> None:
    encoder = Recorded()
    turns = Turns(encoder.encode)
    gone = asyncio.create_task(turns.encoded([f"g{n}" for n in range(100)]))
    await asyncio.sleep(0)
    assert turns.waiting == 100
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone
    assert turns.waiting == 0
