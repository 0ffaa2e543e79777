"""`python -m gateway`."""

import sys

from gateway.server import run

if __name__ == "__main__":
    sys.exit(run())
