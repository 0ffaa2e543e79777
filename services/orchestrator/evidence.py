"""What the built-in sources answer, as evidence. Lengths are cut to the contract's."""

from collections.abc import Iterable, Sequence
from typing import Final

from dossier.context.v1.evidence_pb2 import (
    EVIDENCE_KIND_ARTICLE,
    EVIDENCE_KIND_ASSET,
    EVIDENCE_KIND_OBSERVATION,
    EVIDENCE_KIND_PAST_TICKET,
    EVIDENCE_KIND_PREFIX,
    EVIDENCE_KIND_UNSPECIFIED,
    Evidence,
)
from dossier.history.v1.history_service_pb2 import SimilarTicket
from dossier.knowledge.v1.knowledge_service_pb2 import FoundPassage
from dossier.network.v1.inventory_pb2 import Asset, Prefix
from dossier.network.v1.network_service_pb2 import (
    MENTION_VERDICT_ASSET,
    MENTION_VERDICT_PREFIX,
    MentionFinding,
)

_ID: Final = 256
_TITLE: Final = 4096
_TEXT: Final = 65_536
_REASONS: Final = 16


def of_ticket(found: SimilarTicket) -> Evidence:
    ticket, why = found.ticket, found.explanation
    terms = [f"shares: {', '.join(why.matched_terms)}"] if why.matched_terms else []
    evidence = Evidence(
        id=f"history:{ticket.id}",
        kind=EVIDENCE_KIND_PAST_TICKET,
        source="history",
        title=ticket.title[:_TITLE],
        text=ticket.description[:_TEXT],
        resolution=ticket.resolution[:_TEXT],
        url=ticket.url,
        score=found.score,
        reasons=[*terms, *(boost.replace("_", " ") for boost in why.boosts)][:_REASONS],
    )
    if ticket.HasField("resolve_time"):
        evidence.time.CopyFrom(ticket.resolve_time)
    elif ticket.HasField("create_time"):
        evidence.time.CopyFrom(ticket.create_time)
    return evidence


def of_passage(found: FoundPassage) -> Evidence:
    article, passage = found.article, found.passage
    anchored = article.url and passage.anchor and "#" not in article.url
    evidence = Evidence(
        id=f"knowledge:{article.id}",
        kind=EVIDENCE_KIND_ARTICLE,
        source="knowledge",
        title=(f"{article.title}: {passage.heading}" if passage.heading else article.title)[:_TITLE],
        text=passage.text[:_TEXT],
        url=(f"{article.url}#{passage.anchor}" if anchored else article.url)[:2048],
        score=found.score,
        reasons=[f"shares: {', '.join(found.matched_terms)}"] if found.matched_terms else [],
    )
    if article.HasField("update_time"):
        evidence.time.CopyFrom(article.update_time)
    return evidence


def of_mention(finding: MentionFinding) -> Iterable[Evidence]:
    """An asset, and the prefix it or the address is in; nothing for what is not the client's."""
    why = [f"the ticket mentions {finding.mention}"]
    if finding.verdict == MENTION_VERDICT_ASSET:
        yield Evidence(
            id=f"network:{finding.asset.name}"[:_ID],
            kind=EVIDENCE_KIND_ASSET,
            source="network",
            title=" · ".join(filter(None, [finding.asset.name, finding.asset.role or finding.asset.type])),
            text=_asset_text(finding.asset)[:_TEXT],
            score=1,
            reasons=why,
        )
    if finding.verdict in {MENTION_VERDICT_ASSET, MENTION_VERDICT_PREFIX} and finding.HasField("prefix"):
        yield Evidence(
            id=f"network:{finding.prefix.prefix}",
            kind=EVIDENCE_KIND_PREFIX,
            source="network",
            title=" · ".join(
                filter(None, [finding.prefix.prefix, finding.prefix.role or finding.prefix.vlan_name])
            ),
            text=_prefix_text(finding.prefix)[:_TEXT],
            score=0.9 if finding.verdict == MENTION_VERDICT_PREFIX else 0.5,
            reasons=why,
        )


def of_observation(evidence: Evidence, *, source: str) -> Evidence:
    """What a source of the tenant's own sent, under its configured name, whatever it calls itself."""
    own = Evidence()
    own.CopyFrom(evidence)
    _, _, identifier = evidence.id.rpartition(f"{source}:")
    own.id = f"{source}:{identifier}"[:_ID]
    own.source = source
    if own.kind == EVIDENCE_KIND_UNSPECIFIED:
        own.kind = EVIDENCE_KIND_OBSERVATION
    own.title, own.text, own.resolution = own.title[:_TITLE], own.text[:_TEXT], own.resolution[:_TEXT]
    own.url = own.url[:2048]
    own.score = min(1.0, max(0.0, own.score))
    del own.reasons[_REASONS:]
    return own


def distinct(evidence: Iterable[Evidence]) -> Sequence[Evidence]:
    """Each id once: the same thing found twice, or another thing of the same name from a second import."""
    kept: dict[str, Evidence] = {}
    for each in evidence:
        same = kept.get(each.id)
        if same is None:
            kept[each.id] = each
        elif (same.title, same.text) != (each.title, each.text) and f"{each.id}~2" not in kept:
            each.id = f"{each.id[: _ID - 2]}~2"
            kept[each.id] = each
    return list(kept.values())


def _asset_text(asset: Asset) -> str:
    return _lines(
        f"{asset.name} is a {asset.type}" if asset.type else asset.name,
        role=asset.role,
        addresses=", ".join(asset.addresses),
        site=asset.site,
        model=asset.model,
        serial=asset.serial,
        operating_system=asset.operating_system,
        owner=asset.owner,
        criticality=asset.criticality,
        notes=asset.notes,
    )


def _prefix_text(prefix: Prefix) -> str:
    vlan = f"{prefix.vlan_id} {prefix.vlan_name}".strip() if prefix.vlan_id else prefix.vlan_name
    return _lines(
        f"{prefix.prefix} is a network of the client's",
        role=prefix.role,
        site=prefix.site,
        VLAN=vlan,
        gateway=prefix.gateway,
        description=prefix.description,
    )


def _lines(first: str, **facts: str) -> str:
    described = (f"{name.replace('_', ' ')}: {value}" for name, value in facts.items() if value)
    return ". ".join([first, *described])
