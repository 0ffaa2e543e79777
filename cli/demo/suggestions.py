"""The next commands to try: whole, so that each works as printed while the instance runs."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.instance import Instance
from cli.ports import Ports

_QUESTION: Final = "VPN stops at 40 percent with -5029 on a laptop that was away for six weeks"
_SEARCH: Final = '{"subject": "VPN stops at 40 percent"}'


@dataclass(frozen=True, slots=True)
class Suggestion:
    what: str
    command: str


def suggestions(instance: Instance, ports: Ports, *, tenant: str, enhancement_id: str) -> list[Suggestion]:
    dossier = _program("dossier")
    here = f"--tenant {tenant} --data-dir {shlex.quote(str(instance.home))}"
    token = f'"authorization: Bearer $({dossier} token --audience history {here})"'
    history = ports.serving("history")
    method = "dossier.history.v1.HistoryService/SearchSimilarTickets"
    buf = f"{_program('buf')} curl --protocol grpc --http2-prior-knowledge"
    return [
        Suggestion("Ask for a brief by hand", f'{dossier} enhance "{_QUESTION}" {here}'),
        Suggestion("Read the one above again", f"{dossier} enhancements show {enhancement_id} {here}"),
        Suggestion(
            "Call a service with buf",
            f"{buf} -H {token} -d '{_SEARCH}' http://localhost:{history}/{method}",
        ),
        Suggestion(
            "… or with grpcurl",
            f"grpcurl -plaintext -H {token} -d '{_SEARCH}' localhost:{history} {method}",
        ),
    ]


def _program(name: str) -> str:
    """Name the program as it is started from here: beside our interpreter, or from the PATH."""
    own = Path(sys.executable).with_name(name)
    if not own.exists():
        return name
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))
