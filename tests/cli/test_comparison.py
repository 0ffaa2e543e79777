"""A brief beside its replay: what is the same, what is not."""

from google.protobuf.duration_pb2 import Duration

from cli.comparison import Kept, Said, compare
from cli.show.comparison import comparison_json, comparison_view
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.synthesis.v1 import brief_pb2
from tests.cli.test_show import rendered

SUPPORTED, PARTIAL = brief_pb2.VERDICT_SUPPORTED, brief_pb2.VERDICT_PARTIAL
KNOWLEDGE, CAUSES = brief_pb2.SECTION_KIND_KNOWLEDGE, brief_pb2.SECTION_KIND_PROBABLE_CAUSES


def claim(text: str, *evidence: str, verdict: "brief_pb2.Verdict.ValueType" = SUPPORTED) -> brief_pb2.Claim:
    return brief_pb2.Claim(text=text, evidence_ids=evidence, verdict=verdict)


def citation(number: int, verdict: "brief_pb2.Verdict.ValueType" = SUPPORTED) -> brief_pb2.Citation:
    return brief_pb2.Citation(
        evidence_id=f"history:{number}",
        source="history",
        id=str(number),
        title=f"{number} · VPN drops",
        verdict=verdict,
    )


def enhancement(
    *sections: tuple["brief_pb2.SectionKind.ValueType", list[brief_pb2.Claim]],
    citations: tuple[brief_pb2.Citation, ...] = (),
    dropped: int = 0,
    model: str = "m-1",
    cost: float = 0.0,
    tokens: tuple[int, int] = (0, 0),
    seconds: int | None = None,
) -> pb.Enhancement:
    brief = brief_pb2.Brief(
        sections=[brief_pb2.Section(kind=kind, claims=claims) for kind, claims in sections],
        citations=citations,
        dropped_claims=[claim("Nonsense.", verdict=brief_pb2.VERDICT_UNSUPPORTED)] * dropped,
        confidence=brief_pb2.CONFIDENCE_HIGH,
        writer=brief_pb2.WRITER_LLM,
        word_count=sum(len(each.text.split()) for _, claims in sections for each in claims),
    )
    steps = [pb.Step(name="history", duration=Duration(seconds=9))]
    if seconds is not None:
        steps.append(pb.Step(name="synthesize", duration=Duration(seconds=seconds)))
    return pb.Enhancement(
        id=f"of-{model}",
        brief=brief,
        steps=steps,
        usage=brief_pb2.Usage(model=model, prompt_tokens=tokens[0], completion_tokens=tokens[1]),
        provenance=brief_pb2.Provenance(model=model, prompt_version="1"),
        cost=cost,
    )


def texts(said: tuple[Said, ...]) -> list[str]:
    return [each.text for each in said]


def test_the_same_brief_has_no_differences() -> None:
    one = enhancement((KNOWLEDGE, [claim("Renew it.", "history:1")]), citations=(citation(1),), cost=0.2)

    found = compare(one, one)

    assert found.original == found.replay
    for changes in (found.claims, found.citations):
        assert (changes.added, changes.removed, len(changes.kept)) == ((), (), 1)
        assert not any(each.changed for each in changes.kept)


def test_claims_come_go_and_stay() -> None:
    before = enhancement((KNOWLEDGE, [claim("Renew it."), claim("Reboot.")]))
    after = enhancement((KNOWLEDGE, [claim("Ask the vendor."), claim("Renew  it.\n")]))

    found = compare(before, after).claims

    assert texts(found.added) == ["Ask the vendor."]
    assert texts(found.removed) == ["Reboot."]
    assert [each.original.text for each in found.kept] == ["Renew it."]


def test_the_same_words_in_another_section_are_another_claim() -> None:
    found = compare(
        enhancement((KNOWLEDGE, [claim("A certificate expired.")])),
        enhancement((CAUSES, [claim("A certificate expired.")])),
    ).claims

    assert ([each.section for each in found.added], [each.section for each in found.removed]) == (
        ["probable_causes"],
        ["knowledge"],
    )


def test_what_is_said_twice_is_counted_twice() -> None:
    twice = enhancement((KNOWLEDGE, [claim("Reboot."), claim("Wait."), claim("Reboot.")]))
    once = enhancement((KNOWLEDGE, [claim("Reboot.")]))

    assert texts(compare(twice, once).claims.removed) == ["Wait.", "Reboot."]
    assert texts(compare(once, twice).claims.added) == ["Wait.", "Reboot."]


def test_a_claim_that_stays_may_change_its_verdict_and_its_evidence() -> None:
    before = enhancement((KNOWLEDGE, [claim("Renew it.", "history:1"), claim("Reboot.", "history:2")]))
    after = enhancement(
        (KNOWLEDGE, [claim("Renew it.", "history:1", verdict=PARTIAL), claim("Reboot.", "history:3")])
    )

    changed = [each for each in compare(before, after).claims.kept if each.changed]

    assert [(each.original.verdict, each.replay.verdict) for each in changed] == [
        ("supported", "partial"),
        ("supported", "supported"),
    ]
    assert changed[1].replay.evidence_ids == ("history:3",)
    assert isinstance(changed[0], Kept)


def test_citations_are_the_same_by_their_evidence() -> None:
    found = compare(
        enhancement(citations=(citation(1), citation(2))),
        enhancement(citations=(citation(2, PARTIAL), citation(3))),
    ).citations

    assert ([each.id for each in found.added], [each.id for each in found.removed]) == (["3"], ["1"])
    assert [(each.original.verdict, each.replay.verdict) for each in found.kept] == [("supported", "partial")]


def test_numbers_are_told_with_their_change() -> None:
    before = enhancement((KNOWLEDGE, [claim("One two.")]), cost=0.1, tokens=(900, 80), seconds=2, dropped=1)
    after = enhancement((KNOWLEDGE, [claim("One.")]), cost=0.3, tokens=(950, 60), seconds=5, model="m-2")

    told = comparison_json(compare(before, after))

    assert told["cost"] == {"original": 0.1, "replay": 0.3, "change": 0.2}
    assert told["tokens"] == {
        "prompt": {"original": 900, "replay": 950, "change": 50},
        "completion": {"original": 80, "replay": 60, "change": -20},
    }
    assert told["words"] == {"original": 2, "replay": 1, "change": -1}
    assert told["seconds"] == {"original": 2.0, "replay": 5.0, "change": 3.0}
    assert told["model"] == {"original": "m-1", "replay": "m-2"}
    assert told["prompt_version"] == {"original": "1", "replay": "1"}
    assert told["verdicts"] == {
        "original": {"supported": 1, "partial": 0, "unsupported": 1},
        "replay": {"supported": 1, "partial": 0, "unsupported": 0},
    }


def test_a_time_that_was_not_measured_has_no_change() -> None:
    told = comparison_json(compare(enhancement(seconds=3), enhancement()))

    assert told["seconds"] == {"original": 3.0, "replay": None, "change": None}


def test_without_a_brief_everything_was_removed() -> None:
    found = compare(
        enhancement((KNOWLEDGE, [claim("Renew it.")]), citations=(citation(1),)), pb.Enhancement()
    )

    assert texts(found.claims.removed) == ["Renew it."]
    assert found.replay.verdicts == {"supported": 0, "partial": 0, "unsupported": 0}


def test_a_reader_sees_what_went_and_what_came_in_reading_order() -> None:
    before = enhancement(
        (KNOWLEDGE, [claim("Renew it.", "history:1"), claim("Reboot [b]twice[/b].", "history:1")]),
        (CAUSES, [claim("A certificate expired.", "history:1")]),
        citations=(citation(1),),
    )
    after = enhancement(
        (KNOWLEDGE, [claim("Renew it.", "history:1", verdict=PARTIAL)]),
        (brief_pb2.SECTION_KIND_SIMILAR_TICKETS, [claim("Seen in 2.", "history:2")]),
        citations=(citation(1), citation(2)),
        model="m-2",
        cost=0.00042,
    )

    text = rendered(comparison_view(before, after, compare(before, after)))

    assert text.index("Similar tickets") < text.index("Knowledge") < text.index("Probable causes")
    assert "✓ → ≈ Renew it." in text
    assert "- ✓     Reboot [b]twice[/b]." in text
    assert "- ✓ A certificate expired." in text
    assert "+ ✓ Seen in 2." in text
    assert "+ ✓ history 2 VPN drops" in text
    assert "$0.00042" in text
    for identifier in ("of-m-1", "of-m-2"):
        assert identifier in text
