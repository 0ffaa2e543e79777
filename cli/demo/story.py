"""What the demo does and tells, in order."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rich.text import Text

from cli.demo import sample
from cli.demo.desk import Delivered, Desk, running_desk
from cli.demo.suggestions import Suggestion, suggestions
from cli.enhancing import orchestrating, watch
from cli.errors import DossierError
from cli.follow import all_ready, follow, unready
from cli.importing.run import Summary
from cli.instance import Instance, InstanceRecord
from cli.output import Json, Output
from cli.show.as_json import enhancement_json
from cli.show.brief import enhancement_view
from cli.supervision import drain, start_supervisor
from cli.table import memory_in_all
from cli.words import lasting
from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_SUCCEEDED, Enhancement
from egress.guard import SETTING
from ticketing.plain_text import plain_text

_READY_SECONDS: Final = 120.0
_ACCEPTED: Final = 202
_NEXT_NOW: Final = "Next, while it runs"
_NEXT_TIME: Final = (
    "Next: `make run` (`dossier demo --keep-running`) leaves it running, and prints commands to try"
)


@dataclass(frozen=True, slots=True)
class Told:
    """What happened, for --json."""

    enhancement: Enhancement
    delivered: Delivered
    note: Mapping[str, Any]
    imported: Mapping[str, Summary]
    next: list[Suggestion]


@dataclass(slots=True)
class Clock:
    """How long each part took."""

    begun: float = field(default_factory=time.monotonic)
    parts: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str) -> str:
        self.parts[name] = round(time.monotonic() - self.begun - sum(self.parts.values()), 3)
        return lasting(self.parts[name])


def tell(instance: Instance, *, port: int | None, keep_running: bool, output: Output) -> None:
    clock = Clock()
    _heading("Starting PostgreSQL, Redis and seven processes", output)
    supervisor = start_supervisor(instance, port, bound=True, environment=_permitting_the_desk(os.environ))
    try:
        with running_desk() as desk:
            try:
                record = _ready(instance, supervisor, output=output)
                _line(f"Ready in {clock.lap('ready')}, {_memory(record)} in all.", output)
                told = _enhance(instance, desk, record, clock=clock, output=output, keep_running=keep_running)
                _show(told, instance, record, clock=clock, output=output, keep_running=keep_running)
                if keep_running:
                    _until_interrupted(supervisor, output=output)
            finally:
                drain(supervisor, output=output)
    finally:
        _line("Stopped; nothing is left running.", output)


def _permitting_the_desk(environment: Mapping[str, str]) -> dict[str, str]:
    """The sample client's ticketing tool is on this machine, where no client may reach without a permit."""
    permits = (environment.get(SETTING, ""), f"{sample.description()['tenant']}=127.0.0.1/32")
    return {**environment, SETTING: ",".join(filter(None, permits))}


def _ready(instance: Instance, supervisor: "subprocess.Popen[bytes]", *, output: Output) -> InstanceRecord:
    record = follow(
        instance, until=all_ready, timeout_seconds=_READY_SECONDS, output=output, supervisor=supervisor
    )
    if record is None:
        raise unready(instance.require_running())
    return record


def _enhance(
    instance: Instance,
    desk: Desk,
    record: InstanceRecord,
    *,
    clock: Clock,
    output: Output,
    keep_running: bool,
) -> Told:
    client = asyncio.run(sample.create_client(instance, desk))
    _heading(f"Loading the sample client {client.name}", output)
    imported = asyncio.run(sample.load(instance, client.tenant, output=output))
    _line(f"Loaded in {clock.lap('load')}.", output)

    incident = sample.as_request(next(sample.incidents()))
    _heading(f"A new ticket at the help desk: {incident['subject']}", output)
    _line(str(incident["description"]), output, style="italic")
    delivered = desk.create_request(incident)
    if delivered.status != _ACCEPTED:
        raise DossierError(
            f"The gateway answered the webhook with {delivered.status}: {delivered.body}",
            hint=f"The logs in {instance.logs} say more.",
        )
    _line(f"Its tool signed a webhook and sent it to {client.webhook_url}", output)
    _line(f"The gateway answered {delivered.status} in {clock.lap('webhook')}: the ticket is kept.", output)

    _heading("The brief is being made", output)
    enhancement_id = json.loads(delivered.body)["enhancement_id"]
    enhancement = asyncio.run(_watch(instance, client.tenant, enhancement_id, output=output))
    if enhancement.state != ENHANCEMENT_STATE_SUCCEEDED:
        raise DossierError(
            f"The enhancement failed at {enhancement.failure.step}: {enhancement.failure.message}",
            hint=f"The logs in {instance.logs} say more.",
        )
    _line(f"Done in {clock.lap('enhancement')}.", output)
    return Told(
        enhancement=enhancement,
        delivered=delivered,
        note=_note(desk, delivered, enhancement),
        imported=imported,
        # What has stopped answers no command, and its folder may be gone.
        next=suggestions(instance, record.ports, tenant=client.tenant, enhancement_id=enhancement_id)
        if keep_running
        else [],
    )


async def _watch(instance: Instance, tenant: str, enhancement_id: str, *, output: Output) -> Enhancement:
    async with orchestrating(instance, tenant) as orchestrator:
        return await watch(orchestrator, enhancement_id, tenant=tenant, output=output)


def _note(desk: Desk, delivered: Delivered, enhancement: Enhancement) -> Mapping[str, Any]:
    """Read the note back from the tool: that it was posted is the tool's to say."""
    for note in desk.notes(delivered.ticket_id):
        if note["id"] == enhancement.note.id and enhancement.note.marker in note["description"]:
            return note
    raise DossierError(
        f"The tool has no note {enhancement.note.id} on the ticket.",
        hint="This should not happen: please report it.",
    )


def _show(
    told: Told,
    instance: Instance,
    record: InstanceRecord,
    *,
    clock: Clock,
    output: Output,
    keep_running: bool,
) -> None:
    output.console.print()
    output.console.print(enhancement_view(told.enhancement))
    note_text = plain_text(told.note["description"])
    private = "shown to the requester" if told.note["show_to_requester"] else "private"
    _heading(f"Posted to the ticket: {told.delivered.page_url}", output)
    _line(
        f"Read back from the tool: note {told.note['id']}, {private}, {len(note_text.split())} words.", output
    )
    _heading(_NEXT_NOW if keep_running else _NEXT_TIME, output)
    if keep_running:
        _line(f"The API's documentation: http://localhost:{record.gateway_port}/docs", output)
        _line(f"The ticket with its note:  {told.delivered.page_url}", output)
    for each in told.next:
        _line(f"{each.what}:", output, style="dim")
        _line(f"  {each.command}", output)
    output.result(_json(told, instance, record, clock=clock, note_text=note_text))


def _json(
    told: Told, instance: Instance, record: InstanceRecord, *, clock: Clock, note_text: str
) -> dict[str, Json]:
    return {
        "data_dir": str(instance.home),
        "gateway_url": f"http://localhost:{record.gateway_port}",
        "docs_url": f"http://localhost:{record.gateway_port}/docs",
        "seconds": {**clock.parts, "all": round(time.monotonic() - clock.begun, 3)},
        "memory_mb": round(memory_in_all(record).pss, 1),
        "imported": {name: summary.created for name, summary in told.imported.items()},
        "webhook": {"status": told.delivered.status, "ticket_id": told.delivered.ticket_id},
        "enhancement": enhancement_json(told.enhancement),
        "note": {
            "id": told.note["id"],
            "private": not told.note["show_to_requester"],
            "ticket_url": told.delivered.page_url,
            "html": told.note["description"],
            "text": note_text,
        },
        "next": [{"what": each.what, "command": each.command} for each in told.next],
    }


def _until_interrupted(supervisor: "subprocess.Popen[bytes]", *, output: Output) -> None:
    _line("\nRunning until Ctrl-C.", output, style="bold")
    try:
        supervisor.wait()
    except KeyboardInterrupt:
        return
    raise DossierError(
        "The supervisor ended by itself.", hint="Its log says why; `dossier demo` starts anew."
    )


def _memory(record: InstanceRecord) -> str:
    return f"{memory_in_all(record).pss:.0f} MB"


def _heading(words: str, output: Output) -> None:
    output.console.print(Text(f"\n{words}", style="bold"), soft_wrap=True)


def _line(words: str, output: Output, *, style: str = "") -> None:
    """Print unwrapped, so that what is to be copied stays in one piece."""
    output.console.print(Text(words, style=style), soft_wrap=True, highlight=False)
