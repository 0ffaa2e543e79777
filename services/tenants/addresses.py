"""Refuses addresses that lead where they may not, when they are set; names are looked up when used."""

from egress.guard import Guard, Refused
from services.runtime.errors import FieldViolation, InvalidFields
from services.tenants.model import ContextSource, NewTenant


def check_addresses(settings: NewTenant, guard: Guard, *, before: NewTenant | None = None) -> None:
    """Raise for what is refused. What was so before is left alone: no other change is to fail for it."""
    violations = []
    base_url = settings.ticketing.base_url
    if base_url and (before is None or base_url != before.ticketing.base_url):
        try:
            guard.check_url(base_url)
        except Refused as refused:
            violations.append(FieldViolation("tenant.ticketing.base_url", str(refused)))
    led_to = {base.name: base.base_url for base in before.knowledge_bases} if before is not None else {}
    for number, base in enumerate(settings.knowledge_bases):
        if led_to.get(base.name) == base.base_url:
            continue
        try:
            guard.check_url(base.base_url)
        except Refused as refused:
            violations.append(FieldViolation(f"tenant.knowledge_bases[{number}].base_url", str(refused)))
    known = {_address(source) for source in before.sources} if before is not None else frozenset()
    for number, source in enumerate(settings.sources):
        if _address(source) in known:
            continue
        try:
            guard.check_target(source.target)
        except Refused as refused:
            violations.append(FieldViolation(f"tenant.sources[{number}].target", str(refused)))
    if violations:
        raise InvalidFields(tuple(violations))


def _address(source: ContextSource) -> tuple[str, str]:
    return source.name, source.target
