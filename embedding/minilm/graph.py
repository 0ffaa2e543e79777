"""BERT as an ONNX graph of ONNX Runtime's fused operators, made from the weights alone, without torch.

The architecture is that of Devlin et al. 2018 (arXiv:1810.04805), post-norm, with the mean over the tokens
and unit length at the end, as Sentence-Transformers' all-MiniLM-L6-v2 says in its `modules.json`. The
operators are documented in ONNX Runtime's docs/ContribOperators.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_OPSET: Final = 17
_MICROSOFT: Final = "com.microsoft"
_MICROSOFT_OPSET: Final = 1
# Files of the format before 11 are read by every release of the runtime that has these operators.
_IR_VERSION: Final = 9

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Shape:
    """As the model's `config.json` names them."""

    num_hidden_layers: int
    num_attention_heads: int
    layer_norm_eps: float


def sentence_encoder(weights: Weights, shape: Shape) -> onnx.ModelProto:
    """Of `input_ids` and `attention_mask`, int32 [batch, tokens], make `embedding`, float [batch, hidden]."""
    graph = _Graph(weights, shape.layer_norm_eps)
    hidden = graph.embedded()
    for number in range(shape.num_hidden_layers):
        hidden = graph.layer(f"encoder.layer.{number}", hidden, heads=shape.num_attention_heads)
    graph.mean_of_unit_length(hidden)
    return graph.model()


class _Graph:
    def __init__(self, weights: Weights, epsilon: float) -> None:
        self._weights = weights
        self._epsilon = epsilon
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def embedded(self) -> str:
        # All tokens are of the first segment, whose vector every position gets.
        first_segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        positions = self._weights["embeddings.position_embeddings.weight"] + first_segment
        inputs = [
            *("input_ids", "", *self._given("embeddings.word_embeddings.weight")),
            *(self._constant("positions", positions), ""),
            *self._given("embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias"),
        ]
        # Its second output is of no use here, but has to have a name.
        outputs = ["embedded", "mask_index"]
        self._nodes.append(
            helper.make_node(
                "EmbedLayerNormalization", inputs, outputs, domain=_MICROSOFT, epsilon=self._epsilon
            )
        )
        return outputs[0]

    def layer(self, name: str, hidden: str, *, heads: int) -> str:
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        projection = np.concatenate([self._weights[f"{part}.weight"].T for part in parts], axis=1)
        bias = np.concatenate([self._weights[f"{part}.bias"] for part in parts])
        attended = self._fused(
            "Attention",
            [
                hidden,
                self._constant(f"{name}.qkv", projection),
                self._constant(f"{name}.qkv.bias", bias),
                "attention_mask",
            ],
            f"{name}.attended",
            num_heads=heads,
        )
        hidden = self._added(f"{name}.attention.output", attended, hidden)
        inner = self._times(f"{name}.intermediate.dense", hidden)
        bias_name = self._given(f"{name}.intermediate.dense.bias")
        active = self._fused("BiasGelu", [inner, *bias_name], f"{name}.active")
        return self._added(f"{name}.output", active, hidden)

    def mean_of_unit_length(self, hidden: str) -> None:
        """Padding does not count."""
        last = self._constant("last_axis", np.array([2], np.int64))
        tokens = self._constant("token_axis", np.array([1], np.int64))
        self._plain("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
        self._plain("Unsqueeze", ["mask", last], "mask_column")
        self._plain("Mul", [hidden, "mask_column"], "counted")
        # Divided by the number of tokens it would be the mean; the length is made 1 in any case.
        self._plain("ReduceSum", ["counted", tokens], "summed", keepdims=0)
        self._plain("LpNormalization", ["summed"], "embedding", axis=1, p=2)

    def model(self) -> onnx.ModelProto:
        size = int(self._weights["embeddings.word_embeddings.weight"].shape[1])
        graph = helper.make_graph(
            self._nodes,
            "sentence_encoder",
            [
                helper.make_tensor_value_info(name, TensorProto.INT32, ["batch", "tokens"])
                for name in ("input_ids", "attention_mask")
            ],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", size])],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, _MICROSOFT_OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)

    def _added(self, name: str, entering: str, skipped: str) -> str:
        """A dense layer, what it skipped, and the norm of their sum."""
        multiplied = self._times(f"{name}.dense", entering)
        norm = self._given(f"{name}.LayerNorm.weight", f"{name}.LayerNorm.bias", f"{name}.dense.bias")
        inputs = [multiplied, skipped, *norm]
        return self._fused("SkipLayerNormalization", inputs, f"{name}.normed", epsilon=self._epsilon)

    def _times(self, name: str, entering: str) -> str:
        transposed = self._constant(f"{name}.T", self._weights[f"{name}.weight"].T)
        return self._plain("MatMul", [entering, transposed], f"{name}.product")

    def _given(self, *names: str) -> list[str]:
        return [self._constant(name, self._weights[name]) for name in names]

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def _plain(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def _fused(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        return self._plain(operator, inputs, output, domain=_MICROSOFT, **attributes)
