"""What is read of k6's summary."""

import json

import pytest

from cli.bench.k6 import read_summary
from cli.errors import DossierError

MEASURED = {"avg": 6.1, "p(50)": 5.5, "p(95)": 9.25, "p(99)": 12.0, "max": 30.5}


def summary_of(**metrics: dict[str, float]) -> bytes:
    whole = {name: {"type": "any", "contains": "any", "values": values} for name, values in metrics.items()}
    return json.dumps({"metrics": whole, "state": {"testRunDurationMs": 4000}}).encode()


def test_latency_is_of_the_measured_calls_and_not_of_the_warm_up() -> None:
    content = summary_of(
        **{
            "http_req_duration": {**MEASURED, "p(99)": 900.0},
            "http_req_duration{scenario:measured}": MEASURED,
        }
    )
    latency = read_summary(content, cpu_seconds=1, wall_seconds=4).latency
    assert latency is not None
    assert (latency.p50, latency.p95, latency.p99) == (5.5, 9.25, 12.0)


def test_counters_are_read_and_what_never_counted_is_absent() -> None:
    content = summary_of(accepted={"count": 1200, "rate": 300.0})
    counts = read_summary(content, cpu_seconds=1, wall_seconds=4).counts
    assert counts["accepted"] == 1200
    assert "refused" not in counts


def test_a_load_that_called_nothing_has_no_latency() -> None:
    content = summary_of(**{"grpc_req_duration{scenario:measured}": dict.fromkeys(MEASURED, 0.0)})
    assert read_summary(content, cpu_seconds=1, wall_seconds=4).latency is None


def test_what_k6_took_of_the_machine_is_told_in_cores() -> None:
    assert read_summary(summary_of(), cpu_seconds=3, wall_seconds=4).cpu_cores == 0.75


def test_a_summary_of_another_form_is_told_in_plain_words() -> None:
    with pytest.raises(DossierError, match="not understood"):
        read_summary(b'{"metrics": []}', cpu_seconds=1, wall_seconds=4)
