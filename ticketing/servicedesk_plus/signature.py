"""Whether a webhook comes from the tenant's tool.

The tool signs nothing by itself. Either a script in it signs the raw body (`X-ServiceDesk-Signature:
sha256=<hex>`), or its webhook sends the secret itself in a header (`X-Dossier-Secret`), over TLS.
"""

import hmac
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from ticketing.model import WebhookRequest, WebhookSecret

SIGNATURE_HEADER: Final = "x-servicedesk-signature"
SECRET_HEADER: Final = "x-dossier-secret"  # noqa: S105 - a header's name
_PREFIX: Final = "sha256="


def matching_secret(request: WebhookRequest, secrets: Sequence[WebhookSecret]) -> str | None:
    """Return the id of the secret that was used.

    A signature, where there is one, decides alone. A header sent twice is refused: which of the two another
    program on the way has checked, nobody knows.
    """
    match request.values(SIGNATURE_HEADER), request.values(SECRET_HEADER):
        case (signature,), _:
            presented = signature.removeprefix(_PREFIX).lower() if signature.startswith(_PREFIX) else ""
            return _find(presented, secrets, lambda key: hmac.digest(key, request.body, "sha256").hex())
        case (), (secret,):
            # Hashed, so that the comparison's time does not depend on the secret's length.
            presented = sha256(secret.encode("latin-1", "replace")).hexdigest() if secret else ""
            return _find(presented, secrets, lambda key: sha256(key).hexdigest())
        case _:
            return None


def _find(presented: str, secrets: Sequence[WebhookSecret], expected: Callable[[bytes], str]) -> str | None:
    found: str | None = None
    for secret in secrets:
        # An empty secret would let everybody in. No early exit: the time must not tell which secret matched.
        usable = bool(secret.value)
        matches = hmac.compare_digest(presented.encode(), expected(secret.value).encode())
        if matches and usable and found is None:
            found = secret.id
    return found
