import pickle

import pytest

from egress.connection import Connection
from ticketing.contract import TicketingTool
from ticketing.discovery import load_tools, tool_named
from ticketing.errors import (
    MalformedWebhook,
    TicketMissing,
    ToolRateLimited,
    ToolRejected,
    ToolUnavailable,
    UnknownTool,
)


def test_installed_adapters_are_found_by_name() -> None:
    tools = load_tools()
    tool: TicketingTool = tool_named(tools, "servicedesk_plus")
    assert (tool.name, tool.note_format) == ("servicedesk_plus", "html")


def test_an_unknown_tool_is_told_with_those_installed() -> None:
    with pytest.raises(UnknownTool, match="servicedesk_plus"):
        tool_named(load_tools(), "abacus")


@pytest.mark.parametrize(
    "error",
    [
        MalformedWebhook("not JSON", (2, 3)),
        MalformedWebhook("missing", field="ticket_id"),
        ToolUnavailable("later"),
        ToolRateLimited("slower", 2.5),
        ToolRejected("never"),
        TicketMissing("7"),
    ],
)
def test_an_error_survives_being_stored_by_a_workflow(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_a_connection_prints_no_credential() -> None:
    connection = Connection("https://user:hunter2@sdp.example/x?key=hunter3", {"authtoken": "hunter4"})
    assert "hunter" not in repr(connection)
    assert "sdp.example" in repr(connection)
