"""Latency and rate of one RPC under k6."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from cli.bench.k6 import run_script
from cli.errors import DossierError
from cli.output import Json


@dataclass(frozen=True, slots=True)
class Calls:
    callers: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    failed: int
    late: int
    """At a given rate: calls that were left out because every caller still waited."""
    k6_cores: float


async def measure_rpc(
    target: str,
    file: FileDescriptor,
    method: str,
    *,
    requests: Sequence[Mapping[str, Json]],
    callers: int,
    seconds: float,
    warmup_seconds: float,
    per_second: float | None = None,
    token: str | None = None,
) -> Calls:
    """Call as fast as the callers are answered or, with `per_second`, as often as that."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as protoset:
        protoset.write(_described(file).SerializeToString())
        protoset.flush()
        given: dict[str, Json] = {
            "target": target,
            "method": method,
            "protoset": protoset.name,
            "metadata": {"authorization": f"Bearer {token}"} if token else {},
            "requests": list(requests),
            "callers": callers,
            "per_second": per_second,
            "seconds": seconds,
            "warmup_seconds": warmup_seconds,
        }
        summary = await run_script("rpc", given, seconds=warmup_seconds + seconds)
    answered, failed = summary.counts.get("answered", 0), summary.counts.get("failed", 0)
    if not answered or summary.latency is None:
        raise DossierError(
            f"No call of {method} was answered; {failed} failed.", hint=f"It was called at {target}."
        )
    return Calls(
        callers=callers,
        per_second=round(answered / seconds, 1),
        p50_ms=round(summary.latency.p50, 2),
        p95_ms=round(summary.latency.p95, 2),
        p99_ms=round(summary.latency.p99, 2),
        failed=failed,
        late=summary.counts.get("dropped_iterations", 0),
        k6_cores=round(summary.cpu_cores, 2),
    )


def _described(file: FileDescriptor) -> FileDescriptorSet:
    """The file after all that it needs."""
    found: dict[str, FileDescriptor] = {}

    def visit(each: FileDescriptor) -> None:
        if each.name not in found:
            for needed in each.dependencies:
                visit(needed)
            found[each.name] = each

    visit(file)
    described = FileDescriptorSet()
    for each in found.values():
        each.CopyToProto(described.file.add())
    return described
