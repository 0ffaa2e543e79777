"""Who is calling, and for which tenant: taken from the call's token and from nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from services.runtime import deadline
from services.runtime.errors import TenantRequired, TokenMissing

ROLES: Final = frozenset({"service", "operator", "admin", "technician", "viewer"})


@dataclass(frozen=True, slots=True)
class Caller:
    """`subject` is the process that calls; `tenant` is None for work that belongs to no single tenant."""

    subject: str
    tenant: str | None
    role: str
    on_behalf_of: str = ""
    """Who set the work off at the edge, where that was not the process itself: an API key's id, a user."""

    @property
    def principal(self) -> str:
        return self.on_behalf_of or self.subject


_current: ContextVar[Caller | None] = ContextVar("dossier_caller", default=None)


def caller_or_none() -> Caller | None:
    return _current.get()


def current_caller() -> Caller:
    caller = _current.get()
    if caller is None:
        raise TokenMissing("the call carries no token")
    return caller


def current_tenant() -> str:
    caller = current_caller()
    if caller.tenant is None:
        raise TenantRequired("the token names no tenant", metadata={"subject": caller.subject})
    return caller.tenant


def enter_call(caller: Caller) -> None:
    """Make the caller current for the rest of the call, which runs in a context of its own."""
    _current.set(caller)


@contextmanager
def acting_for(
    tenant: str | None, *, subject: str, role: str = "service", on_behalf_of: str = ""
) -> Iterator[Caller]:
    """Work outside an RPC: outgoing calls carry this tenant and role.

    The deadline of an RPC that started the work is lifted: a context is inherited by tasks, and a workflow
    outlives the call that asked for it.
    """
    caller = Caller(subject=subject, tenant=tenant, role=role, on_behalf_of=on_behalf_of)
    token = _current.set(caller)
    with deadline.lifted():
        try:
            yield caller
        finally:
            _current.reset(token)
