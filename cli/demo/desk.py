"""The stand-in ticketing tool as a child process, spoken to over HTTP only."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from cli.errors import DossierError
from cli.program import Program

AUTHTOKEN: Final = "standin-key"
_SECONDS: Final = 15.0
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the gateway answered to the tool's webhook."""

    status: int
    body: str
    ticket_id: str
    page_url: str


class Desk:
    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    def send_webhooks_to(self, url: str, *, secret: str, tenant: str) -> None:
        self.post("/_standin/webhook", {"url": url, "secret": secret, "tenant": tenant})

    def create_request(self, incident: Mapping[str, object]) -> Delivered:
        """Report an incident, as a person would at the help desk; the tool sends its webhook."""
        made = self.post("/_standin/requests", incident)
        delivery = made["delivery"] or {"status": 0, "body": ""}
        return Delivered(
            status=delivery["status"],
            body=delivery["body"],
            ticket_id=made["request"]["id"],
            page_url=self.base_url + made["page"],
        )

    def notes(self, ticket_id: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = self.get(f"/_standin/requests/{ticket_id}/notes")["notes"]
        return found

    def get(self, path: str) -> Any:
        return self._answered(lambda http: http.get(path))

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        return self._answered(lambda http: http.post(path, json=body))

    def _answered(self, ask: Any) -> Any:
        with httpx.Client(base_url=self.base_url, timeout=_SECONDS, trust_env=False) as http:
            answer: httpx.Response = ask(http)
        if answer.is_error:
            raise DossierError(
                f"The stand-in ticketing tool answered {answer.status_code}: {answer.text}",
                hint="This should not happen: please report it.",
            )
        return answer.json()


@contextmanager
def running_desk() -> Iterator[Desk]:
    """Start the tool; it ends with the block, or with us."""
    argv = (sys.executable, "-P", "-m", "cli.standins.servicedesk_plus", "--port", "0")
    program = Program("servicedesk", (*argv, "--authtoken", AUTHTOKEN))
    process = subprocess.Popen(
        program.launch_argv(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd="/",
        start_new_session=True,  # the terminal's Ctrl-C is for us
    )
    with process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            base_url = process.stdout.readline().strip()
            if not base_url:
                raise DossierError(
                    "The stand-in ticketing tool did not start.",
                    hint="Run it yourself to see why: python -m cli.standins.servicedesk_plus --port 0",
                )
            yield Desk(base_url)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
