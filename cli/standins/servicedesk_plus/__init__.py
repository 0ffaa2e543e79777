"""A ServiceDesk Plus to try Dossier with: API v3, webhooks, a page per request. In memory, on loopback.

Written from the tool's documentation and recorded replies alone, so that it and the adapter can only be wrong
separately.
"""

from cli.standins.servicedesk_plus.app import application, running
from cli.standins.servicedesk_plus.desk import Delivery, NewRequest, ServiceDesk, WebhookTarget, new_requests
from cli.standins.servicedesk_plus.faults import Fault

__all__ = [
    "Delivery",
    "Fault",
    "NewRequest",
    "ServiceDesk",
    "WebhookTarget",
    "application",
    "new_requests",
    "running",
]
