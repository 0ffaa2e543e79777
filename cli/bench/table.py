"""The results as a small table: on the terminal, and in the README beside the records."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rich.table import Table


class Line(NamedTuple):
    what: str
    measured: str
    beside: str
    """The bare limit, and the result's ratio to it."""


def lines(record: Mapping[str, Any]) -> list[Line]:
    """One record's results; parts that were not measured have no lines."""
    parts = (
        ("webhook", _webhook),
        ("pipeline", _pipeline),
        ("fairness", _fairness),
        ("search", _search),
        ("baseline", _baseline),
        ("guards", _guards),
    )
    return [line for name, told in parts if name in record for line in told(record[name])]


def shown(record: Mapping[str, Any]) -> Table:
    table = Table("what", "measured", "beside the bare limit", box=None, pad_edge=False, header_style="dim")
    for line in lines(record):
        table.add_row(*line)
    return table


def markdown(record: Mapping[str, Any]) -> str:
    about = record["about"]
    here = about["machine"]
    rows = ["| what | measured | beside the bare limit |", "|---|---|---|"]
    rows += (f"| {line.what} | {line.measured} | {line.beside} |" for line in lines(record))
    source = (
        f"Commit `{about['commit'] or 'unknown'}`, {about['time'][:10]}: {here['cpu']},"
        f" {here['cores']} cores, {here['memory_gb']} GiB, {here['system']}, Python {here['python']},"
        f" PostgreSQL {here['postgres']}, on {here['disk']}; load average before: {here['load_before']}."
    )
    return "\n".join((source, "", *rows))


def _webhook(result: Mapping[str, Any]) -> Iterator[Line]:
    inserts = result["baseline"]["concurrent_per_second"]
    meanwhile = result["while_processing"]
    for level in (*result["levels"], meanwhile):
        which = "while briefs are made" if level is meanwhile else "processing paused"
        yield Line(
            f"webhooks accepted, {level['callers']} callers, {which}",
            f"{level['accepted_per_second']:,.0f}/s; p50 {level['p50_ms']:g} ms, p99 {level['p99_ms']:g} ms",
            f"{level['accepted_per_second'] / inserts:.2f} of single INSERTs by 32 writers"
            f" ({inserts:,.0f}/s); the load took {level['load_cores']:g} cores",
        )


def _pipeline(result: Mapping[str, Any]) -> Iterator[Line]:
    engine = result["engine"]
    yield Line(
        "briefs, instant model, backlog",
        f"{result['briefs_per_second']:g}/s",
        f"{result['engine_share']:.2f} of the bare engine ({engine['free_per_second']:g}/s with"
        f" {engine['steps']} empty steps)",
    )
    yield Line(
        "accepted → delivered, one at a time",
        f"p50 {result['overhead_p50_ms']:g} ms, p95 {result['overhead_p95_ms']:g} ms",
        f"of it waiting for a worker: p50 {result['queued_p50_ms']:g} ms",
    )
    steps = ", ".join(f"{name} {mean:g}" for name, mean in result["step_mean_ms"].items())
    yield Line("time per step, mean ms", steps, "history, knowledge and network run at once")


def _fairness(result: Mapping[str, Any]) -> Iterator[Line]:
    yield Line(
        f"a trickle beside {result['flood_queued']:,} queued of another client",
        f"p50 {result['flooded_p50_ms']:g} ms, p95 {result['flooded_p95_ms']:g} ms",
        f"p95 is {result['ratio']:g} of its quiet one ({result['quiet_p95_ms']:g} ms); the flood got"
        f" {result['flood_briefs_per_second']:g} briefs/s meanwhile",
    )


def _search(result: Mapping[str, Any]) -> Iterator[Line]:
    for tenant in result["tenants"]:
        spent = ", ".join(f"{name} {spent:g}" for name, spent in tenant["cpu_ms"].items())
        yield Line(
            f"search among {tenant['tickets']:,} tickets, {result['callers']} callers",
            f"p50 {tenant['p50_ms']:g} ms, p95 {tenant['p95_ms']:g} ms;"
            f" {tenant['searches_per_second']:,.0f}/s",
            f"{tenant['empty_call_ratio']:g} empty gRPC calls (p50 {result['empty_call']['p50_ms']:g} ms);"
            f" processor time each, ms: {spent}",
        )
    steady = result["steady"]
    yield Line(
        f"search among {steady['tickets']:,} tickets, {steady['per_second']:g} a second",
        f"p50 {steady['p50_ms']:g} ms, p95 {steady['p95_ms']:g} ms",
        f"{steady['late']} could not begin in time",
    )
    if built := result["built"]:
        disk = ", ".join(f"{name} {size:,.0f}" for name, size in built["disk_mb"].items())
        if built["imported"]:
            yield Line(
                "tickets imported, searchable by words",
                f"{built['imported']:,}, {built['imported_per_second']:,.0f}/s",
                f"memory of history: {built['history_mb_before']:g} MiB before,"
                f" {built['history_mb_most']:g} at most",
            )
        yield Line(
            "indexes over vectors",
            f"{built['indexes']} built in {built['index_seconds']:g} s",
            f"disk, MiB: {disk}",
        )


def _baseline(result: Mapping[str, Any]) -> Iterator[Line]:
    for calls in result["empty_call"]:
        yield Line(
            f"bare: empty gRPC call, {calls['callers']} callers",
            f"{calls['per_second']:,.0f}/s; p50 {calls['p50_ms']:g} ms",
            "",
        )
    insert = result["insert"]
    for writers, which in ((1, "single"), (32, "concurrent")):
        yield Line(
            f"bare: INSERT, a commit each, {writers} writers",
            f"{insert[f'{which}_per_second']:,.0f}/s; p50 {insert[f'{which}_p50_ms']:g} ms",
            "",
        )


def _guards(result: Mapping[str, Any]) -> Iterator[Line]:
    for name, what in (("webhook", "webhooks"), ("pipeline", "briefs"), ("search", "searches")):
        cost = result[name]
        yield Line(
            f"guards: {what}, with authentication, tenant lookup and row-level security",
            f"{cost['guarded_per_second']:,.0f}/s",
            f"{cost['added']:+.0%} time over the same without them ({cost['unguarded_per_second']:,.0f}/s)",
        )
