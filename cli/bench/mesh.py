"""The instance that is measured: one of our own, on free ports, with two gateways."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import psutil

from cli.errors import DossierError
from cli.follow import all_ready, follow, unready
from cli.instance import Instance, InstanceRecord
from cli.output import Output
from cli.ports import Ports
from cli.program import Program
from cli.supervision import start_supervisor
from egress.guard import SETTING

DESK_KEY: Final = "bench-desk"

_READY_SECONDS: Final = 90.0
_STOP_SECONDS: Final = 60.0
_STANDIN_SECONDS: Final = 15.0
_TRIES: Final = 200
_GATEWAYS: Final = 2
"""Where there are as many cores: one gateway's core is the first thing that webhooks use up."""
_OWN: Final = ("DOSSIER_", "OPENAI_", "OTEL_")
"""What begins so configures an instance of the user's; here it would measure, or touch, that one."""


@dataclass(frozen=True, slots=True)
class BenchMesh:
    instance: Instance
    record: InstanceRecord
    desk_url: str
    """The stand-in ticketing tool."""

    @property
    def database_url(self) -> str:
        """The administrator's."""
        return self.record.database_url

    def webhook_url(self, tenant: str) -> str:
        return f"http://127.0.0.1:{self.record.ports.gateway}/webhooks/{tenant}/servicedesk_plus"


@contextmanager
def new_home(folder: Path | None) -> Iterator[Path]:
    """A folder for an instance, within `folder` if one is given; nothing of it is left behind."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="dossier-bench-", dir=folder))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def running_mesh(
    home: Path, *, output: Output, beside: Mapping[str, str] = MappingProxyType({})
) -> Iterator[BenchMesh]:
    """Start everything in that folder; `beside` is added to the environment of its processes."""
    with ExitStack() as closers:
        environment = clean_environment(os.environ) | dict(beside)
        llm = closers.enter_context(_standin("instant_llm", environment))
        desk = closers.enter_context(_standin("servicedesk_plus", environment, "--authtoken", DESK_KEY))
        instance = Instance(home)
        record = closers.enter_context(_supervised(instance, environment | _reaching(llm), output=output))
        yield BenchMesh(instance, record, desk)


def clean_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Without what configures another instance, and without a proxy, which would be measured too."""
    return {
        name: value
        for name, value in given.items()
        if not name.startswith(_OWN) and not name.lower().endswith("_proxy")
    }


def _reaching(llm_url: str) -> dict[str, str]:
    return {
        SETTING: "127.0.0.1/32",
        "OPENAI_BASE_URL": f"{llm_url}/v1",
        "OPENAI_API_KEY": "bench",
        "DOSSIER_SYNTHESIS_LLM_MODEL": "instant",
        "DOSSIER_SYNTHESIS_LLM_INPUT_PRICE": "0",
        "DOSSIER_SYNTHESIS_LLM_OUTPUT_PRICE": "0",
    }


@contextmanager
def _supervised(
    instance: Instance, environment: Mapping[str, str], *, output: Output
) -> Iterator[InstanceRecord]:
    gateways = min(_GATEWAYS, psutil.cpu_count() or 1)
    supervisor = start_supervisor(
        instance, _free_port(gateways), bound=True, gateways=gateways, environment=environment
    )
    try:
        record = follow(
            instance, until=all_ready, timeout_seconds=_READY_SECONDS, output=output, supervisor=supervisor
        )
        if record is None:
            raise unready(instance.require_running())
        yield record
    finally:
        supervisor.terminate()
        try:
            supervisor.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            supervisor.terminate()  # the second time it kills
            supervisor.wait()


@contextmanager
def _standin(name: str, environment: Mapping[str, str], *options: str) -> Iterator[str]:
    """Run a stand-in in a process of its own; yields the address that it prints."""
    argv = (sys.executable, "-P", "-m", f"cli.standins.{name}", "--port", "0", *options)
    with printing(Program(name, argv, environment)) as address:
        yield address


@contextmanager
def printing(program: Program) -> Iterator[str]:
    """Run a program that prints one line once it is ready; yields the line."""
    process = subprocess.Popen(
        program.launch_argv(),
        env=dict(program.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd="/",
    )
    with process:
        try:
            line = process.stdout.readline().strip() if process.stdout else ""
            if not line:
                raise DossierError(f"{program.name} did not start.", hint=f"Try it: {' '.join(program.argv)}")
            yield line
        finally:
            process.terminate()
            try:
                process.wait(_STANDIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port(gateways: int) -> int:
    """Find a range that is free, below what the system hands out by itself."""
    for _ in range(_TRIES):
        port = secrets.randbelow(18_000) + 12_000
        if all(_is_free(number) for _, number in Ports.starting_at(port, gateways=gateways).all()):
            return port
    raise DossierError("No free range of ports was found.", hint="Stop what listens on ports 12000 to 31000.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
