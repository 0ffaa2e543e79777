"""Texts to vectors on one core."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from embedding.minilm.export import prepared
from embedding.minilm.weights import weights_package

MODEL: Final = "all-MiniLM-L6-v2"
DIMENSIONS: Final = 384
TOKENS_MOST: Final = 256
"""What the model was trained with: the rest of a longer text is left out."""

# Hardly any token is longer: what comes after so many characters would not be read anyway.
_CHARACTERS_A_TOKEN: Final = 16

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Encoded:
    vectors: Matrix
    """A row each, of length 1."""
    tokens: int


class Encoder:
    """Not for two threads at once."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Batches of long texts would leave the arena as large as the largest of them.
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(
            str(prepared(folder)), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(weights_package().tokenizer))
        self._tokenizer.enable_truncation(TOKENS_MOST)
        # Its file asks for 128 tokens at least.
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Each by itself.

        In a batch, int8 activations share one scale, so that a text's vector would depend on its neighbours;
        and on one core a batch is no faster.
        """
        read = self._tokenizer.encode_batch([text[: TOKENS_MOST * _CHARACTERS_A_TOKEN] for text in texts])
        vectors = [self._run(each.ids) for each in read]
        return Encoded(np.concatenate(vectors), sum(len(each.ids) for each in read))

    def _run(self, ids: list[int]) -> Matrix:
        inputs = {"input_ids": np.array([ids], np.int32), "attention_mask": np.ones((1, len(ids)), np.int32)}
        (vectors,) = self._session.run(["embedding"], inputs)
        found: Matrix = vectors
        return found
