"""Channels to the context sources of tenants' own, to addresses that were checked and no others."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import grpc
from aiohttp.abc import AbstractResolver

from egress.http import GuardedResolver
from egress.permits import Permits

# How long a name's addresses are believed; then a source that has moved is found again.
_BELIEVED_SECONDS: Final = 30.0
# The longest deadline of a source: whoever asks through a channel that is replaced gets its answer.
_GRACE_SECONDS: Final = 30.0
# Where gRPC finds its proxy.
_PROXIES: Final = ("grpc_proxy", "https_proxy", "http_proxy")

Open = Callable[[str, str, str], grpc.aio.Channel]
"""Opens a channel to an address for a source of this name, which is spoken to by the third: its authority."""


@dataclass(slots=True)
class _Kept:
    target: str
    addresses: Sequence[str]
    channel: grpc.aio.Channel
    looked_up: float


class SourceChannels:
    """One channel for each source of each tenant: gRPC is given addresses and looks up nothing."""

    def __init__(
        self,
        permits: Permits,
        resolver: AbstractResolver,
        open_channel: Open,
        *,
        believed_seconds: float = _BELIEVED_SECONDS,
    ) -> None:
        self._permits = permits
        self._resolver = resolver
        self._open = open_channel
        self._believed_seconds = believed_seconds
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def channel(self, tenant: str, name: str, target: str) -> grpc.aio.Channel:
        """Raises `Refused`, and `OSError` where the name in `target` is not known."""
        kept = self._kept.get((tenant, name))
        now = time.monotonic()
        if kept is not None and kept.target == target and now < kept.looked_up + self._believed_seconds:
            return kept.channel
        addresses = await self._look_up(tenant, target)
        # Others may have asked meanwhile.
        kept = self._kept.get((tenant, name))
        if kept is not None and (kept.target, kept.addresses) == (target, addresses):
            kept.looked_up = now
            return kept.channel
        if kept is not None:
            closing = asyncio.create_task(kept.channel.close(_GRACE_SECONDS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        channel = self._open(_pinned(addresses), name, target)
        self._kept[tenant, name] = _Kept(target, addresses, channel, now)
        return channel

    async def close(self) -> None:
        for closing in self._closing:
            closing.cancel()
        for kept in self._kept.values():
            await kept.channel.close()

    async def _look_up(self, tenant: str, target: str) -> Sequence[str]:
        guard = self._permits.guard(tenant)
        checked = guard.check_target(target)
        found = await GuardedResolver(guard, self._resolver).resolve(checked.host, checked.port)
        # In an order that does not change from answer to answer.
        return sorted({_with_port(each["host"], checked.port) for each in found})


def _with_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ip_address(address).version == 6 else f"{address}:{port}"


def _pinned(addresses: Sequence[str]) -> str:
    """Make a target of gRPC's; it takes addresses of one family, and IPv4 is the one that is everywhere."""
    of_four = [each for each in addresses if not each.startswith("[")]
    family, usable = ("ipv4", of_four) if of_four else ("ipv6", addresses)
    if any(map(os.environ.get, _PROXIES)):
        # gRPC would ask its proxy for all of them as if they were one name.
        usable = usable[:1]
    return f"{family}:{','.join(usable)}"
