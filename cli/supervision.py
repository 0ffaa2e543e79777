"""Starting and stopping the supervisor of an instance."""

import subprocess
import sys
from collections.abc import Mapping

from cli.instance import Instance
from cli.output import Output
from cli.program import Program


def start_supervisor(
    instance: Instance,
    port: int | None,
    *,
    bound: bool,
    gateways: int = 1,
    tls: bool = False,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start the process that does it all; `bound` ends (drained) with us, even if we are killed."""
    instance.make()
    argv = [sys.executable, "-P", "-m", "cli.supervisor", str(instance.home), f"--gateways={gateways}"]
    if port is not None:
        argv.append(f"--port={port}")
    if tls:
        argv.append("--tls")
    if bound:
        argv = Program("supervisor", tuple(argv)).launch_argv()
    with instance.log("supervisor").open("ab") as log:
        return subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )


def drain(supervisor: subprocess.Popen[bytes], *, output: Output) -> None:
    """Ask it to end and wait; a Ctrl-C meanwhile kills what is left."""
    output.progress.print("Stopping; once more Ctrl-C kills.")
    supervisor.terminate()
    try:
        supervisor.wait()
    except KeyboardInterrupt:
        supervisor.terminate()
        supervisor.wait()
