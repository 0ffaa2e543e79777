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
from dossier.knowledge.v1.article_pb2 import Passage
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
_AROUND: Final = 0.9
_NAMED_DUPLICATES: Final = 5


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
        reasons=[*terms, *_spoken(why.boosts), *_duplicates(found)][:_REASONS],
        document_id=ticket.id,
        document_source=ticket.source,
    )
    if ticket.HasField("resolve_time"):
        evidence.time.CopyFrom(ticket.resolve_time)
    elif ticket.HasField("create_time"):
        evidence.time.CopyFrom(ticket.create_time)
    return evidence


def _spoken(boosts: Iterable[str]) -> Iterable[str]:
    return (boost.replace("_", " ") for boost in boosts)


def _duplicates(found: SimilarTicket) -> Iterable[str]:
    if found.duplicate_count:
        named = ", ".join(each.id for each in found.duplicates[:_NAMED_DUPLICATES])
        more = found.duplicate_count - len(found.duplicates[:_NAMED_DUPLICATES])
        yield f"also reported as: {named}{f' and {more} more' if more else ''}"


def of_passage(found: FoundPassage) -> Evidence:
    return _passage(found, found.passage, score=found.score)


def around(found: FoundPassage) -> Iterable[Evidence]:
    """The rest of the article, for its causes and steps; not what was found, so a little less relevant."""
    return (_passage(found, each, score=_AROUND * found.score) for each in found.surroundings)


def _passage(found: FoundPassage, passage: Passage, *, score: float) -> Evidence:
    article = found.article
    terms = [f"shares: {', '.join(found.matched_terms)}"] if found.matched_terms else []
    anchored = article.url and passage.anchor and "#" not in article.url
    evidence = Evidence(
        id=(f"knowledge:{article.id}#{passage.anchor}" if passage.anchor else f"knowledge:{article.id}")[
            :_ID
        ],
        kind=EVIDENCE_KIND_ARTICLE,
        source="knowledge",
        title=(f"{article.title} \u203a {passage.heading}" if passage.heading else article.title)[:_TITLE],
        text=passage.text[:_TEXT],
        url=(f"{article.url}#{passage.anchor}" if anchored else article.url)[:2048],
        score=score,
        reasons=[*terms, *_spoken(found.boosts)][:_REASONS],
        document_id=article.id,
        document_source=article.source,
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
    # They name documents of ours.
    own.ClearField("document_id")
    own.ClearField("document_source")
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
    model = f" ({asset.model})" if asset.model else ""
    return _described(
        f"{asset.name}: {asset.role or asset.type or 'asset'}{model}",
        ", ".join(asset.addresses),
        at=asset.site,
        running=asset.operating_system,
        criticality=asset.criticality,
        owner=asset.owner,
        serial=asset.serial,
        notes=asset.notes,
    )


def _prefix_text(prefix: Prefix) -> str:
    vlan = f"{prefix.vlan_id} {prefix.vlan_name}".strip() if prefix.vlan_id else prefix.vlan_name
    return _described(
        f"{prefix.prefix}: {prefix.role or 'network'}",
        f"VLAN {vlan}" if vlan else "",
        at=prefix.site,
        gateway=prefix.gateway,
        notes=prefix.description,
    )


def _described(what: str, more: str, *, notes: str, **facts: str) -> str:
    """Write as in `10.20.30.0/24: Servers, VLAN 30 SRV, gateway 10.20.30.1.`, then the notes."""
    told = (f"{name} {value}" for name, value in facts.items() if value)
    return " ".join(filter(None, [", ".join(filter(None, [what, more, *told])) + ".", notes]))
