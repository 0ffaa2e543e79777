"""How a measurement is kept and shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.bench.extent import Extent
from cli.bench.mesh import clean_environment
from cli.bench.pipeline import quantile
from cli.bench.record import BEGIN, END, keep, with_latest
from cli.bench.run import What
from cli.bench.synthetic import incidents, past_tickets
from cli.bench.table import lines, markdown
from cli.errors import DossierError

RECORD: dict[str, Any] = {
    "about": {
        "time": "2026-11-24T04:00:00+00:00",
        "commit": "abc1234",
        "machine": {
            "cpu": "A CPU",
            "cores": 2,
            "memory_gb": 24.0,
            "system": "Linux 6",
            "python": "3.11.7",
            "postgres": "18.4, embedded",
            "disk": "ext4",
            "load_before": 0.1,
        },
    },
    "webhook": {
        "accepted_per_second": 2500.0,
        "baseline": {"concurrent_per_second": 5000.0},
        "levels": [
            {"callers": 64, "accepted_per_second": 2500.0, "p50_ms": 9.5, "p99_ms": 44.0, "load_cores": 0.2}
        ],
        "while_processing": {
            "callers": 64,
            "accepted_per_second": 1000.0,
            "p50_ms": 30.0,
            "p99_ms": 90.0,
            "load_cores": 0.1,
        },
    },
    "search": {
        "callers": 4,
        "empty_call": {"p50_ms": 0.5},
        "tenants": [
            {
                "tickets": 1000,
                "p50_ms": 5.0,
                "p95_ms": 8.0,
                "searches_per_second": 700.0,
                "empty_call_ratio": 10.0,
                "cpu_ms": {"history": 2.0, "embedder": 5.0},
            }
        ],
        "steady": {"tickets": 1000, "per_second": 20.0, "p50_ms": 6.0, "p95_ms": 9.0, "late": 0},
        "built": {
            "imported": 5_000,
            "imported_per_second": 1_250.0,
            "history_mb_before": 80.0,
            "history_mb_most": 90.0,
            "vectors": 5_000,
            "indexes": 2,
            "index_seconds": 4.5,
            "disk_mb": {"tickets": 1200.0},
        },
    },
}


def test_a_record_is_named_by_day_and_commit_and_reads_back_whole(tmp_path: Path) -> None:
    kept = keep(RECORD, What.ALL, tmp_path / "benchmarks")
    assert kept.name == "2026-11-24-abc1234.json"
    assert json.loads(kept.read_text()) == RECORD


def test_a_single_measurement_replaces_neither_the_whole_record_nor_the_table(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\nthe table\n{END}\n")
    whole = keep(RECORD, What.ALL, tmp_path)
    table = readme.read_text()
    assert keep(RECORD, What.WEBHOOK, tmp_path) != whole
    assert readme.read_text() == table


def test_the_table_is_replaced_between_its_marks_and_the_words_around_it_stay() -> None:
    before = f"# Words\n\n{BEGIN}\n\nold\n\n{END}\n\nmore words\n"
    after = with_latest(before, "new")
    assert after == before.replace("old", "new")
    assert with_latest("no marks", "new") == "no marks"


def test_a_line_tells_the_result_and_its_ratio_to_the_bare_limit() -> None:
    webhook, meanwhile, search, steady, imported, indexes = lines(RECORD)
    assert webhook.measured == "2,500/s; p50 9.5 ms, p99 44 ms"
    assert webhook.beside.startswith("0.50 of single INSERTs")
    assert (meanwhile.what, meanwhile.measured) == (
        "webhooks accepted, 64 callers, while briefs are made",
        "1,000/s; p50 30 ms, p99 90 ms",
    )
    assert "1,000 tickets" in search.what
    assert "10 empty gRPC calls" in search.beside
    assert search.beside.endswith("history 2, embedder 5")
    assert "20 a second" in steady.what
    assert imported.measured == "5,000, 1,250/s"
    assert indexes.measured == "2 built in 4.5 s"


def test_the_published_table_says_on_what_it_was_measured() -> None:
    text = markdown(RECORD)
    assert "`abc1234`" in text
    assert "A CPU, 2 cores, 24.0 GiB" in text
    assert text.count("\n|") == 2 + len(lines(RECORD))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DossierError, match="cannot be written"):
        keep(RECORD, What.ALL, tmp_path / "file")


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.95), quantile([3.0], 0.95)) == (50.0, 95.0, 3.0)


def test_made_up_tickets_are_the_same_every_time_and_unlike_each_other() -> None:
    tickets = list(past_tickets(300))
    assert tickets == list(past_tickets(300))
    assert len({ticket.description for ticket in tickets}) == 300
    assert len(incidents(40)) == 40


def test_the_users_own_settings_do_not_reach_the_measured_instance() -> None:
    given = {"DOSSIER_DATABASE_URL": "theirs", "OPENAI_API_KEY": "theirs", "https_proxy": "x", "PATH": "/bin"}
    assert clean_environment(given) == {"PATH": "/bin"}


def test_quick_measures_less_and_seconds_are_obeyed() -> None:
    quick, whole = (
        Extent.chosen(seconds=None, quick=True, size=None),
        Extent.chosen(seconds=3, quick=False, size=None),
    )
    assert quick.backlog < whole.backlog
    assert whole.seconds == 3
