"""The demo as it is run: to its end, and left running."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.mesh import clean_environment

DEMO = [sys.executable, "-m", "cli", "demo"]
NAMED_BY = "dossier-demo-"


def processes_of(home: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(home in part for part in process.info["cmdline"] or ())
    ]


def test_the_demo_ends_with_a_cited_brief_on_the_ticket_and_leaves_nothing() -> None:
    done = subprocess.run(
        [*DEMO, "--json"],
        capture_output=True,
        text=True,
        env=clean_environment() | {"TMPDIR": "/tmp"},
        check=False,
        timeout=180,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["imported"] == {"tickets": 200, "articles": 40, "prefixes": 26, "assets": 60}
    assert told["webhook"]["status"] == 202
    assert told["enhancement"]["state"] == "succeeded"
    assert {each["id"] for each in told["enhancement"]["brief"]["citations"]} >= {"10144", "KB-013"}
    assert told["note"]["id"] == told["enhancement"]["note"]["id"]
    assert told["note"]["private"]
    assert not Path(told["data_dir"]).exists()
    # Nothing is left that a command could be about.
    assert told["next"] == []
    assert processes_of(told["data_dir"]) == []


def test_left_running_its_commands_work_as_printed_and_ctrl_c_drains() -> None:
    said: list[str] = []
    with subprocess.Popen(
        [*DEMO, "--keep-running"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environment() | {"TMPDIR": "/tmp"},
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            said.append(line)
            if "Running until Ctrl-C" in line:
                break
        text = "".join(said)
        assert demo.poll() is None, text
        commands = re.findall(r"^  (\S*(?:dossier|buf) .*)$", text, re.MULTILINE)
        answers = [run(command) for command in commands]
        docs = re.search(r"http://localhost:\d+/docs", text)
        page = run(f"curl -fsS {docs.group(0)}" if docs else "false")
        demo.send_signal(signal.SIGINT)
        said += demo.stdout
        code = demo.wait(60)

    assert code == 0, "".join(said)
    assert len(commands) == 3, text
    assert all(answer.returncode == 0 for answer in answers), answers
    assert "10173" in answers[0].stdout
    assert '"results"' in answers[2].stdout
    assert page.returncode == 0, page.stderr
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", "".join(said))
    home = re.search(rf"/tmp/{NAMED_BY}\w+", text)
    assert home is not None
    assert not Path(home.group(0)).exists()
    assert processes_of(home.group(0)) == []


def run(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", command],
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
        timeout=120,
    )
