"""A queue as JSON and as a table: what waits, what runs, by which rules."""

from rich.table import Table
from rich.text import Text

from cli.output import Json
from cli.tenancy import also_for
from cli.words import lasting, seconds, word
from dossier.orchestrator.v1.queue_pb2 import Queue, QueueWeight


def queue_json(queue: Queue, *, tenant: str | None) -> dict[str, Json]:
    """Without a tenant it is all clients' together, which has no share and no cap, and counts no failures."""
    return {
        "tenant": tenant,
        "paused": queue.paused,
        "waiting": queue.waiting,
        "delayed": queue.delayed,
        "in_progress": queue.in_progress,
        "failed": queue.failed if tenant else None,
        "oldest_seconds": seconds(queue.oldest_age) if queue.HasField("oldest_age") else None,
        "weight": word(QueueWeight.DESCRIPTOR, queue.weight) or None,
        "max_in_progress": queue.max_in_progress or None,
    }


def queue_table(queue: Queue, *, tenant: str | None) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    oldest = f", the oldest for {lasting(seconds(queue.oldest_age))}" if queue.HasField("oldest_age") else ""
    failed = f" (`dossier enhancements retry-failed{also_for(tenant)}`)" if queue.failed else ""
    table.add_row("queue of", tenant or "all clients together")
    state = Text("paused", style="yellow") if queue.paused else Text("taking work up", style="green")
    table.add_row("state", state)
    table.add_row("waiting", f"{queue.waiting}{oldest}")
    table.add_row("delayed", f"{queue.delayed}")
    table.add_row("in progress", f"{queue.in_progress}")
    if tenant:
        table.add_row("failed", f"{queue.failed}{failed}")
        table.add_row("weight", word(QueueWeight.DESCRIPTOR, queue.weight))
        table.add_row("at a time", f"at most {queue.max_in_progress}")
    return table
