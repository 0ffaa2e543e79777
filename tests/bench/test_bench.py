"""The whole of it: an instance started, loaded by k6, measured, and gone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from cli.standins import instant_llm
from cli.standins.loopback import listening


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", "bench", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_webhooks_are_measured_on_an_instance_that_is_gone_afterwards(server_home: Path) -> None:
    disk = server_home / "bench"
    done = bench(
        "webhook", "--quick", "--seconds", "5", "--json", "--data-dir", str(disk), "--record", str(disk)
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["accepted_per_second"] > 0
    assert 0 < told["p50_ms"] <= told["p99_ms"]
    assert told["insert_ratio"] > 0
    assert told["levels"][0]["refused"] == 0
    for level in (told["levels"][0], told["while_processing"]):
        assert level["committed"] == level["answered"] >= level["accepted_per_second"] > 0
    assert told["machine"]["cores"] > 0
    assert told["machine"]["postgres"].endswith(", embedded")
    (record,) = disk.iterdir()
    assert not [each.pid for each in psutil.process_iter() if str(disk) in command_line(each)]
    assert json.loads(record.read_text())["webhook"]["accepted_per_second"] == told["accepted_per_second"]


def test_a_trickle_is_measured_alone_and_beside_a_flood(server_home: Path) -> None:
    done = bench("fairness", "--quick", "--json", "--data-dir", str(server_home / "bench-fairness"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert 0 < told["quiet_p50_ms"] <= told["quiet_p95_ms"]
    assert told["ratio"] == pytest.approx(told["flooded_p95_ms"] / told["quiet_p95_ms"], abs=0.01)
    assert 0 < told["flood_left"] < told["flood_queued"]


def test_guards_are_measured_against_the_same_without_them(server_home: Path) -> None:
    done = bench("guards", "--quick", "--seconds", "3", "--json", "--data-dir", str(server_home / "bench-g"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    added = []
    for load in ("webhook", "pipeline", "search"):
        cost = told[load]
        assert cost["guarded_per_second"] > 0
        exact = cost["unguarded_per_second"] / cost["guarded_per_second"] - 1
        assert cost["added"] == pytest.approx(exact, abs=0.02)
        added.append(cost["added"])
    assert told["added_at_most"] == max(added)


def test_without_k6_it_is_told_what_to_install(server_home: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib, shutil\n"
        "shutil.which = lambda name: None\n"
        "exists = pathlib.Path.exists\n"
        "pathlib.Path.exists = lambda path: path.name != 'k6' and exists(path)\n"
    )
    done = bench("baseline", "--quick", "--data-dir", str(server_home / "no-k6"), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "make setup" in done.stderr


@pytest.mark.parametrize("ids", [["past_ticket:1"], ["past_ticket:1", "article:2"], []])
async def test_the_instant_model_quotes_the_evidence_it_was_given(ids: list[str]) -> None:
    evidence = [
        {"id": each, "kind": each.partition(":")[0], "title": f"About {each}", "text": "", "resolution": ""}
        for each in ids
    ]
    marker = "<<0123456789abcdef>>"
    enum = {"evidence_ids": {"items": {"enum": ids}}}
    sections = ["similar_tickets", "knowledge", "network", "probable_causes", "first_steps"]
    schema = {"required": sections, "$defs": {"statement": {"properties": enum}}}
    body = {
        "model": "instant",
        "messages": [
            {"role": "user", "content": f"Evidence:\n{marker}\n{json.dumps(evidence)}\n{marker}"},
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "brief", "schema": schema}},
    }
    async with listening(instant_llm.application()) as url, httpx.AsyncClient(trust_env=False) as http:
        answer = (await http.post(f"{url}/v1/chat/completions", json=body)).json()
    brief = json.loads(answer["choices"][0]["message"]["content"])
    assert sorted(brief) == sorted(sections)
    cited = [each for section in brief.values() for said in section for each in said["evidence_ids"]]
    assert cited == ids
    assert answer["usage"]["completion_tokens"] > 0


def test_searches_among_kept_tickets_go_on_where_the_last_run_ended(server_home: Path) -> None:
    corpus = server_home / "bench-corpus"
    wanted = ("search", "--size", "2000", "--corpus", str(corpus), "--quick", "--seconds", "3", "--json")
    first = bench(*wanted)
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    sizes = [tenant["tickets"] for tenant in told["tenants"]]
    assert sizes[0] == 100
    assert sizes[-1] == 2_000
    assert told["built"]["imported"] == told["built"]["vectors"] == sum(sizes)
    assert told["built"]["imported_per_second"] > 0
    assert told["built"]["history_mb_most"] >= told["built"]["history_mb_before"] > 0
    for tenant in told["tenants"]:
        # On a busy machine a few questions get no vector in time, and words decide.
        assert tenant["failed"] == 0
        assert tenant["by_meaning"] > 0.9
        assert 0 < tenant["p50_ms"] <= tenant["p95_ms"]
        assert 0 < tenant["embedding_share"] < 1
    assert told["steady"]["tickets"] == 2_000
    assert 0 < told["steady"]["per_second"] <= 21

    again = bench(*wanted)
    assert again.returncode == 0, again.stderr
    built = json.loads(again.stdout)["built"]
    assert (built["imported"], built["vectors"]) == (0, 0)
    assert built["disk_mb"]["tickets"] > 0


def test_a_size_without_searches_is_refused() -> None:
    done = bench("webhook", "--size", "1000")
    assert done.returncode == 2
    assert "--size" in done.stderr
