"""An import on its way: in batches, without holding the file, and with every rejection traced to its line."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import grpc

from cli.importing.kinds import TICKETS, Batches, Report
from cli.importing.rows import Place, Rejection, Row, Rows, Unknown
from cli.importing.run import Import, Places
from dossier.history.v1.history_service_pb2 import ImportTicketsResponse, RejectedTicket
from tests.support.command import Command
from tests.support.mesh import Mesh

CHANNEL: grpc.aio.Channel = None  # type: ignore[assignment]  # the stand-in for history asks nobody


class Taken:
    """Takes batches in history's place."""

    def __init__(self, *refused: int) -> None:
        self.sizes: list[int] = []
        self.bytes: list[int] = []
        self.read_at_first = 0
        self.read = 0
        self._refused = refused

    def rows(self, count: int, *, text: str = "") -> Rows:
        def each() -> Iterator[Row | Rejection]:
            for number in range(1, count + 1):
                self.read = number
                place = Place(number, line=number * 2)
                values = {"id": str(number), "title": "VPN", "description": text}
                yield Row(place, values if number != 2 else {"id": "2"})

        return Rows("jsonl", each(), count, Unknown(), {})

    async def __call__(self, _channel: grpc.aio.Channel, batches: Batches, _source: str) -> Report:
        async for batch in batches:
            self.read_at_first = self.read_at_first or self.read
            self.sizes.append(len(batch))
            self.bytes.append(sum(each.ByteSize() for each in batch))
        rejected = [
            RejectedTicket(row=row, id="x", field="create_time", reason="no") for row in self._refused
        ]
        return ImportTicketsResponse(created_count=1, rejected_count=len(rejected), rejected=rejected)


async def test_rows_go_in_batches_and_no_more_is_read_than_is_sent() -> None:
    taken = Taken()
    work = Import(dataclasses.replace(TICKETS, send=taken), taken.rows(1202), advance=lambda _: None)

    await work.send(CHANNEL, source="import")

    assert taken.sizes == [500, 500, 201]
    assert taken.read_at_first <= 502


async def test_batches_of_long_rows_stay_within_a_message() -> None:
    taken = Taken()
    rows = taken.rows(12, text="x" * 1_000_000)
    work = Import(dataclasses.replace(TICKETS, send=taken), rows, advance=lambda _: None)

    await work.send(CHANNEL, source="import")

    assert sum(taken.sizes) == 11
    assert max(taken.bytes) < 4 << 20


async def test_what_the_service_rejects_is_told_by_its_place_in_the_file() -> None:
    taken = Taken(1, 2, 700)
    work = Import(dataclasses.replace(TICKETS, send=taken), taken.rows(1000), advance=lambda _: None)

    await work.send(CHANNEL, source="import")

    told = {(each.place.row, each.place.line, each.field) for each in work.summary.rejections}
    assert told == {(2, 4, "title"), (1, 2, "created"), (3, 6, "created"), (701, 1402, "created")}
    assert work.summary.rejected == 4


def test_importing_again_changes_nothing_and_a_change_updates(on_mesh: Command, tmp_path: Path) -> None:
    file = tmp_path / "tickets.jsonl"
    row = '{"id": "9001", "title": "Coffee grinder hums in the break room", "resolution": "%s"}\n'

    seen = []
    for resolution in ("Oiled it.", "Oiled it.", "Replaced it."):
        file.write_text(row % resolution)
        done = on_mesh("import", "tickets", str(file), "--source", "test", "--json")
        seen.append((done.object["created"], done.object["updated"], done.object["unchanged"]))

    assert seen == [(1, 0, 0), (0, 0, 1), (0, 1, 0)]


def test_standard_input_is_read(mesh: Mesh) -> None:
    done = mesh.dossier(
        "import", "assets", "-", "--tenant", mesh.tenant, text="Name;IP\nTEST-PC-1;10.99.0.1\nTEST PC;x\n"
    )

    assert done.returncode == 1
    assert "1 created, 0 updated, 0 unchanged, 1 rejected" in done.stdout
    assert "line 3" in done.stdout


def test_where_rows_stand_is_kept_for_the_breaks_only() -> None:
    places = Places()
    for number in range(1, 10_001):
        places.note(Place(number, line=number + (7 if number > 500 else 0)))

    assert len(places._places) == 2
    assert places.of(500) == Place(500, line=500)
    assert places.of(9_999) == Place(9_999, line=10_006)
