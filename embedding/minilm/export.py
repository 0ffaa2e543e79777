"""Makes the model's file from the weights that a package carries: int8, a quarter of their size.

Once a machine, in a process of its own, which takes its memory along: 300 MB for three seconds.
"""

import fcntl
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import orjson

from embedding.minilm.weights import Files, weights_package

_NAME: Final = "all-MiniLM-L6-v2-int8"
_VERSION: Final = 1
"""Of the export: a file that another version made is not taken."""


def prepared(folder: Path) -> Path:
    """Find the model's file, or make it; whoever else needs it meanwhile waits."""
    file = folder / f"{_NAME}-{_VERSION}.onnx"
    if file.exists():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{_NAME}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            subprocess.run([sys.executable, "-P", "-m", "embedding.minilm.export", str(file)], check=True)
    return file


def export(files: Files, file: Path) -> None:
    """Write the file in one step, so that nobody reads half of it."""
    # Imported here: who only serves does not need them.
    import onnx  # noqa: PLC0415
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415
    from safetensors.numpy import load_file  # noqa: PLC0415

    from embedding.minilm.graph import Shape, sentence_encoder  # noqa: PLC0415

    told = orjson.loads(files.config.read_bytes())
    shape = Shape(told["num_hidden_layers"], told["num_attention_heads"], told["layer_norm_eps"])
    model = sentence_encoder(load_file(files.weights), shape)
    with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
        whole, small = Path(scratch) / "fp32.onnx", Path(scratch) / "int8.onnx"
        onnx.save(model, whole)
        # It recommends a preparation that has nothing to do here.
        logging.disable(logging.WARNING)
        quantize_dynamic(
            whole,
            small,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # The fused operators' outputs are not inferred.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        small.replace(file)


if __name__ == "__main__":
    export(weights_package(), Path(sys.argv[1]))
