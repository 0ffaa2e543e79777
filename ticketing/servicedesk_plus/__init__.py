"""ManageEngine ServiceDesk Plus, API v3: on-premises and Cloud."""

from ticketing.servicedesk_plus.adapter import ServiceDeskPlus

__all__ = ["ServiceDeskPlus"]
