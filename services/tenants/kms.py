"""Key-encryption keys in a key management service that never gives them away: AWS KMS or alike.

Data keys go there to be wrapped and unwrapped. Tenant, kind and version go along as the encryption context,
without which the service does not unwrap; they appear in its log, the secret does not.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from async_lru import alru_cache
from botocore.exceptions import BotoCoreError, ClientError

from services.runtime.errors import DependencyUnavailable
from services.tenants.model import OPERATOR
from services.tenants.sealing import KeptSecret, Place, SecretUnreadable, WrappedKey
from services.tenants.telemetry import KMS_CALLS

if TYPE_CHECKING:
    from types_aiobotocore_kms import KMSClient

_DEPENDENCY: Final = "the key management service"
_MOST_DATA_KEYS: Final = 10_000
_MOST_STRANGERS: Final = 1_000
_NOT_OPENED: Final = {"InvalidCiphertextException", "IncorrectKeyException"}
# A secret is waited for by a webhook, or inside a change: rather late than often.
_CONFIG: Final = AioConfig(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2}
)

_log = structlog.get_logger(__name__)


class KeyService:
    """Data keys that it has unwrapped are used again for a while, so that not every webhook is a call."""

    def __init__(self, client: "KMSClient", key: str, *, cache_seconds: float) -> None:
        self._client = client
        self._key = key
        # Whose ids are in rows is the key itself, whatever the alias means later.
        self._current_id = alru_cache(maxsize=1, ttl=cache_seconds)(self._describe)
        self._data_keys = alru_cache(maxsize=_MOST_DATA_KEYS, ttl=cache_seconds)(self._decrypt)
        # Apart from the clients', which whoever makes names up cannot crowd out.
        self._of_strangers = alru_cache(maxsize=_MOST_STRANGERS, ttl=cache_seconds)(self._decrypt)

    def knows(self, key_id: str) -> bool:
        return key_id.startswith("arn:")

    async def current_id(self) -> str:
        return await self._current_id()

    async def wrap(self, data_key: bytes, place: Place) -> WrappedKey:
        async with _answering("Encrypt"):
            answer = await self._client.encrypt(
                KeyId=await self._current_id(), Plaintext=data_key, EncryptionContext=_context(place)
            )
        return WrappedKey(answer["KeyId"], answer["CiphertextBlob"])

    async def unwrap(self, kept: KeptSecret) -> bytes:
        remembered = self._of_strangers if kept.place.tenant == OPERATOR else self._data_keys
        return await remembered(kept)

    async def _decrypt(self, kept: KeptSecret) -> bytes:
        async with _answering("Decrypt", kept):
            answer = await self._client.decrypt(
                KeyId=kept.sealed.key_id,
                CiphertextBlob=kept.sealed.wrapped_key,
                EncryptionContext=_context(kept.place),
            )
        return answer["Plaintext"]

    async def _describe(self) -> str:
        async with _answering("DescribeKey"):
            answer = await self._client.describe_key(KeyId=self._key)
        return answer["KeyMetadata"]["Arn"]


@asynccontextmanager
async def key_service(
    key: str, *, endpoint_url: str | None, cache_seconds: float
) -> AsyncIterator[KeyService]:
    """`key` is the ARN of a key or of an alias, and names the region; credentials are where AWS has them."""
    region = key.split(":")[3]
    async with get_session().create_client(
        "kms", region_name=region, endpoint_url=endpoint_url, config=_CONFIG
    ) as client:
        yield KeyService(client, key, cache_seconds=cache_seconds)


def _context(place: Place) -> dict[str, str]:
    return {"tenant": place.tenant, "kind": place.kind.value, "version": str(place.version)}


@asynccontextmanager
async def _answering(operation: str, kept: KeptSecret | None = None) -> AsyncIterator[None]:
    """Refused and away are alike to who waits for a secret: it may be mended, so that asking again helps."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if kept is not None and code in _NOT_OPENED:
            KMS_CALLS.labels(operation, "not_opened").inc()
            raise SecretUnreadable(kept) from None
        KMS_CALLS.labels(operation, "refused").inc()
        _log.warning("key_service_refused", operation=operation, code=code)
        raise DependencyUnavailable(_DEPENDENCY, "refuses") from error
    except BotoCoreError as error:
        KMS_CALLS.labels(operation, "failed").inc()
        _log.warning("key_service_failed", operation=operation, problem=type(error).__name__)
        raise DependencyUnavailable(_DEPENDENCY) from error
    KMS_CALLS.labels(operation, "ok").inc()
