"""Whose ticket it is."""

import pytest

from dossier.context.v1.ticket_pb2 import Ticket
from services.orchestrator.organisation import organisation_of


@pytest.mark.parametrize(
    ("organisation", "mail", "expected"),
    [
        ("Acme GmbH", "ann@globex.example", "Acme GmbH"),
        ("", "ann@Acme.example", "acme.example"),
        ("", "ann@gmail.com", ""),
        ("", "ann@GMX.de", ""),
        ("", "ann@localhost", ""),
        ("", "@acme.example", ""),
        ("", "acme.example", ""),
        ("", "", ""),
        ("", f"ann@{'a' * 300}.example", ""),
    ],
)
def test_the_tools_word_counts_else_the_mails_domain_unless_it_is_anybodys(
    organisation: str, mail: str, expected: str
) -> None:
    assert organisation_of(Ticket(id="1", organisation=organisation, requester_email=mail)) == expected
