"""A process that behaves as its supervisor's tests need: `fake_service.py NAME PORT FOLDER MODE`.

It answers /readyz until SIGTERM and notes its end in FOLDER/ended. MODE: `ready`; `unready` (says why);
`stubborn` (ignores SIGTERM); `misconfigured` (exits with 78).
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import FrameType


def main(name: str, port: int, folder: Path, mode: str) -> int:
    if mode == "misconfigured":
        sys.stderr.write("DOSSIER_FAKE_DATABASE_URL: is required\n")
        return 78

    def end(_: int, __: FrameType | None) -> None:
        with (folder / "ended").open("a") as file:
            file.write(f"{name}\n")
        os._exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "stubborn" else end)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            failing = {"postgresql": "connection refused"} if mode == "unready" else {}
            self.send_response(503 if failing else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"failing": failing}).encode())

        def log_message(self, *_: object) -> None:
            return

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))
