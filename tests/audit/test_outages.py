"""A service killed after its change and before the log has heard of it; tenants away meanwhile."""

import signal

import psycopg

from cli.follow import all_ready
from dossier.history.v1.history_service_pb2 import DESCRIPTOR, RecordTicketRequest
from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from dossier.history.v1.past_ticket_pb2 import PastTicket
from tests.support.mesh import Mesh
from tests.support.polling import eventually

HISTORY = DESCRIPTOR.services_by_name["HistoryService"]


async def test_a_change_whose_service_is_killed_before_it_told_is_told_once(mesh: Mesh) -> None:
    ticket = PastTicket(id="killed", source="audit", title="Told after a kill")
    with (
        psycopg.connect(mesh.record.database_url, autocommit=True) as admin,
        mesh.without("tenants"),
    ):
        async with mesh.calling("history", HISTORY) as channel:
            await HistoryServiceStub(channel).RecordTicket(RecordTicketRequest(ticket=ticket))
        killed = mesh.process("history")
        assert killed is not None
        killed.send_signal(signal.SIGKILL)
        killed.wait(20)
        assert admin.execute("select count(*) from history.audit_outbox").fetchall() != [(0,)]
        eventually(lambda: mesh.process("history") not in {None, killed}, what="a new history")

    with psycopg.connect(mesh.record.database_url, autocommit=True) as admin:
        eventually(
            lambda: admin.execute(
                "select from tenants.audit_events where resource = 'tickets/audit/killed'"
            ).fetchall(),
            what="the event",
            timeout_seconds=60,
        )
        eventually(
            lambda: (
                admin.execute(
                    "select count(*) from history.audit_outbox where lease_end is distinct from 'infinity'"
                ).fetchall()
                == [(0,)]
            ),
            what="an empty outbox",
        )
        events = admin.execute(
            "select service from tenants.audit_events where resource = 'tickets/audit/killed'"
        ).fetchall()
    assert events == [("history",)]
    assert all_ready(mesh.record)
