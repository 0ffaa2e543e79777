"""Which key-encryption keys the settings name."""

from contextlib import AsyncExitStack

from services.tenants.sealing import KeyEncryption, Sealer
from services.tenants.settings import TenantsSettings


async def open_sealer(settings: TenantsSettings, closers: AsyncExitStack) -> Sealer:
    own: list[KeyEncryption] = [settings.key_ring] if settings.key_ring is not None else []
    if settings.kms_key is None:
        return Sealer(*own)
    # An extra, and loaded only where it is used.
    from services.tenants.kms import key_service  # noqa: PLC0415

    service = await closers.enter_async_context(
        key_service(
            settings.kms_key,
            endpoint_url=str(settings.kms_endpoint_url) if settings.kms_endpoint_url is not None else None,
            cache_seconds=settings.kms_cache_seconds,
        )
    )
    return Sealer(service, *own) if settings.kms_seals else Sealer(*own, service)
