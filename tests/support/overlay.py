"""Stands fake processes in for the seven real ones, for tests of what runs them."""

import os
import sys
from pathlib import Path

import services
from cli.ports import SERVICES

_FAKE = Path(__file__).with_name("fake_service.py")

_MAIN = """
import os, sys
from pathlib import Path
mode = os.environ.get("FAKE_MODE_{name}", "ready")
sys.argv = ["fake", {name!r}, os.environ[{variable!r}], {folder!r}, mode]
exec(compile(Path({fake!r}).read_text(), {fake!r}, "exec"))
"""


def overlay(folder: Path) -> dict[str, str]:
    """Write packages that shadow the services and the gateway; return the environment that finds them."""
    package = folder / "services"
    package.mkdir(parents=True)
    real = list(services.__path__)
    (package / "__init__.py").write_text(f"__path__ += {real!r}\n")
    for name in SERVICES:
        _write(package / name, name, f"DOSSIER_{name.upper()}_METRICS_PORT", folder)
    _write(folder / "gateway", "gateway", "DOSSIER_GATEWAY_METRICS_PORT", folder)
    return {"PYTHONPATH": str(folder), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"}


def _write(package: Path, name: str, variable: str, folder: Path) -> None:
    package.mkdir()
    (package / "__init__.py").touch()
    main = _MAIN.format(name=name, variable=variable, folder=str(folder), fake=str(_FAKE))
    (package / "__main__.py").write_text(main)
