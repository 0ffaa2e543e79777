"""Changes a client: settings, whether it is served, secrets. Each leaves an audit event."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
import structlog

from audit.changes import FieldChange
from audit.event import Action, Actor
from egress.permits import Permits
from services.tenants.addresses import check_addresses
from services.tenants.differences import differences
from services.tenants.errors import TenantChanged
from services.tenants.knowledge_credentials import KnowledgeCredentials
from services.tenants.model import (
    NewTenant,
    Secret,
    SecretKind,
    Tenant,
    TenantId,
    TenantState,
)
from services.tenants.repeats import id_of
from services.tenants.rules import Installed, check_settings
from services.tenants.sealing import Place, Sealer
from services.tenants.store import Directory
from ticketing.model import NoteTrial

_SHOWN_AGAIN: Final = timedelta(minutes=10)
DEFAULT_OVERLAP: Final = timedelta(hours=24)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Updated:
    tenant: Tenant
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Rotated:
    secret: Secret | None
    """None where the same request made it long ago."""
    id: str
    previous_expire_time: datetime | None
    ended: tuple[str, ...] = ()
    """The ids of those that counted until now."""


class Changer:
    def __init__(self, directory: Directory, sealer: Sealer, installed: Installed, permits: Permits) -> None:
        self._directory = directory
        self._sealer = sealer
        self._installed = installed
        self._permits = permits
        self.knowledge_credentials = KnowledgeCredentials(directory, sealer)

    async def update(
        self,
        tenant: TenantId,
        wanted: Callable[[Tenant], NewTenant],
        *,
        actor: Actor,
        etag: str,
        validate_only: bool,
    ) -> Updated:
        """`wanted` gives the settings as they shall be, or says what is wrong with them."""
        updated, reduced, gone = None, None, frozenset[str]()
        while updated is None:
            async with self._directory.changing(tenant, actor) as change:
                before = change.tenant
                settings = wanted(before)
                check_settings(settings, self._installed, before=before)
                check_addresses(settings, self._permits.guard(tenant), before=before)
                changes = differences(before, settings)
                # What is so already is no conflict: it may be this very call, repeated.
                if not changes:
                    return Updated(before, ())
                if etag and etag != before.etag:
                    raise TenantChanged(before.etag)
                if validate_only:
                    return Updated(_with(before, settings), changes)
                gone = frozenset(base.name for base in before.knowledge_bases) - {
                    base.name for base in settings.knowledge_bases
                }
                if await self.knowledge_credentials.drop(change, gone, reduced):
                    action = Action("UpdateTenant", "tenant", changes)
                    updated = Updated(await change.save(_with(before, settings), action), changes)
            if updated is None:
                reduced = await self.knowledge_credentials.reduced(tenant, gone)
        _log.info("tenant_updated", tenant_id=tenant, fields=[each.field for each in updated.changes])
        return updated

    async def set_state(self, tenant: TenantId, state: TenantState, *, actor: Actor) -> Tenant:
        name = {TenantState.SUSPENDED: "SuspendTenant", TenantState.ACTIVE: "ResumeTenant"}[state]
        async with self._directory.changing(tenant, actor) as change:
            before = change.tenant
            if before.state is state:
                return before
            changes = (FieldChange("state", _json(before.state.value), _json(state.value)),)
            after = await change.save(replace(before, state=state), Action(name, "tenant", changes))
        _log.info("tenant_state_changed", tenant_id=tenant, state=state.value)
        return after

    async def rotate_webhook_secret(
        self, tenant: TenantId, *, actor: Actor, overlap: timedelta, request_id: str
    ) -> Rotated:
        """The same request makes one secret: a second one would end the one that is still in use.

        Its caller gets it again for a while, for the answer may have been lost; later nobody does.
        """
        secret, secret_id = Secret.random(), id_of(tenant, actor, "rotate", request_id, str(overlap))
        async with self._directory.changing(tenant, actor) as change:
            live = await change.live_secrets(SecretKind.WEBHOOK)
            made = next((each for each in live if each.id == secret_id), None)
            if made is not None or await change.is_recorded(f"webhook_secrets/{secret_id}"):
                until = next((each.expire_time for each in live if each.expire_time is not None), None)
                again = made is not None and await change.is_recent(made, _SHOWN_AGAIN)
                shown = await self._sealer.open(made) if made and again else None
                return Rotated(shown, secret_id, until)
            version = await change.next_version(SecretKind.WEBHOOK)
            until = datetime.now(UTC) + overlap if overlap else None
            previous = await change.let_expire(SecretKind.WEBHOOK, until)
            place = Place(tenant, SecretKind.WEBHOOK, version)
            kept = replace(await self._sealer.seal(secret, place), id=secret_id)
            # Two count at most: the new one, and for the overlap the one that was current.
            ended = tuple(each.id for each in live if each.expire_time is not None or previous is None)
            changes = [FieldChange("previous_expire_time", "", _json(previous))] if previous else []
            if ended:
                changes.append(FieldChange("ended_secret_ids", _json(ended), ""))
            await change.add_secret(
                kept, Action("RotateWebhookSecret", f"webhook_secrets/{kept.id}", changes)
            )
        _log.info("webhook_secret_rotated", tenant_id=tenant, secret_id=kept.id)
        return Rotated(secret, kept.id, previous, ended)

    async def set_credentials(self, tenant: TenantId, credentials: Mapping[str, str], *, actor: Actor) -> str:
        """The id of what is kept, which is kept also where there is nothing in it."""
        async with self._directory.changing(tenant, actor) as change:
            version = await change.next_version(SecretKind.TICKETING)
            await change.let_expire(SecretKind.TICKETING, None)
            place = Place(tenant, SecretKind.TICKETING, version)
            kept = await self._sealer.seal(Secret(orjson.dumps(dict(credentials))), place)
            names = (FieldChange("names", "", _json(sorted(credentials))),)
            action = Action("SetTicketingCredentials", f"ticketing_credentials/{kept.id}", names)
            await change.add_secret(kept, action)
        _log.info("ticketing_credentials_set", tenant_id=tenant, secret_id=kept.id)
        return kept.id

    async def record_test(self, tenant: TenantId, trial: NoteTrial | None, *, actor: Actor) -> None:
        """Before it is made: it uses the credentials, and a trial leaves a note at the client's ticket."""
        async with self._directory.changing(tenant, actor) as change:
            name = "TestConnection"
            await change.record(Action(name, f"tickets/{trial.ticket_id}" if trial else "tenant"))

    async def record_export(self, tenant: TenantId, *, actor: Actor) -> None:
        """Before the first of it is handed out, however far it comes then."""
        async with self._directory.changing(tenant, actor) as change:
            await change.record(Action("ExportTenant", "tenant"))


def _with(tenant: Tenant, settings: NewTenant) -> Tenant:
    return replace(
        tenant,
        display_name=settings.display_name,
        ticketing=settings.ticketing,
        brief=settings.brief,
        sources=settings.sources,
        retention=settings.retention,
        limits=settings.limits,
        note_visibility=settings.note_visibility,
        queue=settings.queue,
        budget=settings.budget,
        retrieval=settings.retrieval,
        knowledge_bases=settings.knowledge_bases,
    )


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
