"""Says who an API key belongs to."""

import hmac

from services.tenants.errors import ApiKeyInvalid
from services.tenants.model import KeyHolder, Secret
from services.tenants.store import Directory
from services.tenants.telemetry import AUTHENTICATIONS


async def holder_of(api_key: Secret, *, directory: Directory) -> KeyHolder:
    digest = api_key.digest()
    found = await directory.holder_of_key(digest)
    if found is None or not hmac.compare_digest(found.hash, digest):
        AUTHENTICATIONS.labels("refused").inc()
        raise ApiKeyInvalid
    AUTHENTICATIONS.labels("accepted").inc()
    return found.holder
