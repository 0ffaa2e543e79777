"""Checks the contracts: buf's lint and format, no break against the last release, `gen/` as generated."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

PROTOS = Path(__file__).parent
ROOT = PROTOS.parent
RELEASED = PROTOS / "released.binpb"
BUF = Path(sys.executable).parent / "buf"
GENERATE = [sys.executable, str(PROTOS / "generate.py")]


def findings(name: str, command: list[str]) -> bool:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(f"{name}: {'ok' if result.returncode == 0 else 'FAILED'}")
    if result.returncode != 0:
        print(result.stdout + result.stderr)
    return result.returncode != 0


def check() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "contracts.binpb"
        if findings("contracts compile", [*GENERATE, "--image", str(image)]):
            return 1
        failed = [
            findings("buf lint", [str(BUF), "lint", str(image), "--config", "buf.yaml"]),
            findings("buf format", [str(BUF), "format", "--diff", "--exit-code", "protos"]),
            findings(
                "buf breaking, against the last release",
                [str(BUF), "breaking", str(image), "--config", "buf.yaml", "--against", str(RELEASED)],
            ),
            findings("gen/ is what the contracts say", [*GENERATE, "--check"]),
        ]
    return int(any(failed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    keep = "keep the contracts as they are now as the last release's"
    parser.add_argument("--release", action="store_true", help=keep)
    if parser.parse_args().release:
        subprocess.run([*GENERATE, "--image", str(RELEASED)], check=True)
        return
    sys.exit(check())


if __name__ == "__main__":
    main()
