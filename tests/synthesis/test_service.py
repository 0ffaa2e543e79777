"""What the service answers without a language model."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from dossier.context.v1 import evidence_pb2, ticket_pb2
from dossier.synthesis.v1 import brief_pb2
from dossier.synthesis.v1 import synthesis_service_pb2 as pb
from services.runtime.errors import error_info, status_of
from tests.synthesis.client import TICKET, TUNNEL, Arrangement, Client, claims


def copied(evidence: evidence_pb2.Evidence, **changes: object) -> evidence_pb2.Evidence:
    copy = evidence_pb2.Evidence()
    copy.CopyFrom(evidence)
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy


async def reason_of(error: grpc.aio.AioRpcError) -> str:
    info = error_info(error)
    assert info is not None
    return f"{info.domain} {info.reason}"


async def test_without_a_key_the_built_in_writer_writes_for_nothing(arrangement: Arrangement) -> None:
    async with arrangement.service() as service:
        response = await service.acme.write()
    brief = response.brief
    assert brief.writer == brief_pb2.WRITER_EXTRACTIVE
    assert brief.fallback_reason == ""
    assert brief.language == "en"
    assert brief.confidence == brief_pb2.CONFIDENCE_HIGH
    assert (
        "Added the same selector pair on VNL-FW02" in claims(brief, brief_pb2.SECTION_KIND_SIMILAR_TICKETS)[0]
    )
    assert response.usage == brief_pb2.Usage()
    assert await arrangement.recorded_calls() == 0


async def test_citations_say_where_to_look(arrangement: Arrangement) -> None:
    async with arrangement.service() as service:
        brief = (await service.acme.write()).brief
    ticket, article = brief.citations
    assert (ticket.source, ticket.id, ticket.title, ticket.url) == (
        "history",
        "10241",
        TUNNEL.title,
        TUNNEL.url,
    )
    assert (article.evidence_id, article.id) == ("knowledge:KB-005#cause", "KB-005")
    assert {each.verdict for each in brief.citations} == {brief_pb2.VERDICT_SUPPORTED}


@pytest.mark.parametrize("kind", [evidence_pb2.EVIDENCE_KIND_PAST_TICKET, evidence_pb2.EVIDENCE_KIND_ARTICLE])
async def test_what_was_found_by_chance_only_is_nothing_similar(
    arrangement: Arrangement, kind: evidence_pb2.EvidenceKind
) -> None:
    async with arrangement.service() as service:
        nothing = (await service.acme.write([])).brief
        chance = (await service.acme.write([copied(TUNNEL, score=0.04, kind=kind)])).brief
    for brief in (nothing, chance):
        assert brief.nothing_similar
        assert (len(brief.sections), len(brief.citations), brief.word_count) == (0, 0, 0)
        assert brief.confidence == brief_pb2.CONFIDENCE_LOW


async def test_what_the_ticket_names_bears_on_it_but_gives_no_confidence(arrangement: Arrangement) -> None:
    firewall = evidence_pb2.Evidence(
        id="network:VNL-FW02",
        kind=evidence_pb2.EVIDENCE_KIND_ASSET,
        source="network",
        title="VNL-FW02",
        text="VNL-FW02 is a Firewall. addresses: 10.30.5.1",
        score=1,
    )
    async with arrangement.service() as service:
        brief = (await service.acme.write([firewall])).brief
    assert not brief.nothing_similar
    assert claims(brief) == ["VNL-FW02 is a Firewall. addresses: 10.30.5.1"]
    assert brief.confidence == brief_pb2.CONFIDENCE_LOW


async def test_one_fitting_thing_gives_some_confidence(arrangement: Arrangement) -> None:
    async with arrangement.service() as service:
        brief = (await service.acme.write([TUNNEL])).brief
    assert brief.confidence == brief_pb2.CONFIDENCE_MEDIUM


async def test_sources_that_did_not_answer_are_named(arrangement: Arrangement) -> None:
    late = evidence_pb2.SourceReport(
        source="knowledge", state=evidence_pb2.SOURCE_STATE_TIMED_OUT, detail="timed out after 10 s"
    )
    fine = evidence_pb2.SourceReport(source="history", state=evidence_pb2.SOURCE_STATE_ANSWERED)
    async with arrangement.service() as service:
        brief = (await service.acme.write(sources=[fine, late])).brief
        nothing = (await service.acme.write([], sources=[fine, late])).brief
    assert list(brief.unavailable_sources) == [late]
    assert list(nothing.unavailable_sources) == [late]


async def test_a_brief_keeps_to_the_words_it_may_have(arrangement: Arrangement) -> None:
    many = [copied(TUNNEL, id=f"history:{n}", resolution="Reset it. " * 400) for n in range(1, 101)]
    async with arrangement.service() as service:
        for limit in (0, 50, 51, 200, 500):
            options = pb.BriefOptions(max_words=limit)
            brief = (await service.acme.write(many, options=options)).brief
            assert 0 < brief.word_count <= (limit or 500)
            assert brief.word_count == sum(len(text.split()) for text in claims(brief))


@pytest.mark.parametrize(
    ("subject", "description"),
    [
        ("", ""),
        ("the of and", "it is what it was"),
        ("x", "a" * 1_048_576),
        ("x", "1" * 1_048_576),
        ("x", "." * 1_048_576),
        ("Geen internet in Venlo", "Sinds zes uur geen mappen meer, de tunnel lijkt groen."),
        ("隧道不通", "文萊沒有流量。防火牆顯示綠色。"),
        ("nul\x00nul", "\u202e\u200b\U000e0041 tunnel \x1b[31m"),
    ],
)
async def test_odd_tickets_get_a_brief(arrangement: Arrangement, subject: str, description: str) -> None:
    ticket = ticket_pb2.Ticket(id="1", subject=subject, description=description)
    async with arrangement.service() as service:
        brief = (await service.acme.write(ticket=ticket)).brief
    assert "VNL-FW02" in " ".join(claims(brief))


async def test_what_nobody_sees_is_not_quoted(arrangement: Arrangement) -> None:
    hidden = "Re\u200bstarted\u202e the \U000e0041\U000e0042tunnel on VNL\u00ad-FW02."
    async with arrangement.service() as service:
        brief = (await service.acme.write([copied(TUNNEL, resolution=hidden)])).brief
    (claim,) = brief.sections[0].claims
    assert claim.text.endswith("Solved: Restarted the tunnel on VNL-FW02.")
    assert claim.verdict == brief_pb2.VERDICT_SUPPORTED


async def test_an_observation_of_a_source_of_the_tenants_own_is_told(arrangement: Arrangement) -> None:
    alert = evidence_pb2.Evidence(
        id="monitoring:7",
        kind=evidence_pb2.EVIDENCE_KIND_OBSERVATION,
        source="monitoring",
        title="Alert: VNL-HQ down",
        text="The tunnel VNL-HQ has no security association since 18:07.",
    )
    async with arrangement.service() as service:
        brief = (await service.acme.write([alert])).brief
    assert claims(brief) == ["Alert: VNL-HQ down. The tunnel VNL-HQ has no security association since 18:07."]


async def test_the_built_in_writer_needs_no_database(arrangement: Arrangement) -> None:
    async with arrangement.service(database_url="postgresql://dossier_synthesis@127.0.0.1:1/none") as service:
        assert (await service.acme.write()).brief.sections
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.acme.usage()
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert await reason_of(refused.value) == "synthesis.dossier DEPENDENCY_UNAVAILABLE"


async def test_a_call_without_a_token_or_a_tenant_is_refused(arrangement: Arrangement) -> None:
    async with arrangement.service() as service:
        with pytest.raises(grpc.aio.AioRpcError) as anonymous:
            await Client(service.stub, ()).write()
        with pytest.raises(grpc.aio.AioRpcError) as nobodys:
            await Client(service.stub, arrangement.keys.metadata("synthesis", tenant=None)).write()
        with pytest.raises(grpc.aio.AioRpcError) as nobodys_usage:
            await Client(service.stub, arrangement.keys.metadata("synthesis", tenant=None)).usage()
        with pytest.raises(grpc.aio.AioRpcError) as others:
            await Client(service.stub, arrangement.keys.metadata("history")).write()
    assert anonymous.value.code() == others.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert await reason_of(anonymous.value) == "synthesis.dossier TOKEN_MISSING"
    for each in (nobodys, nobodys_usage):
        assert each.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert await reason_of(each.value) == "synthesis.dossier TENANT_REQUIRED"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.WriteBriefRequest(ticket=TICKET), "request_id"),
        (pb.WriteBriefRequest(request_id="a\x00b", ticket=TICKET), "request_id"),
        (pb.WriteBriefRequest(request_id="a"), "ticket"),
        (pb.WriteBriefRequest(request_id="a", ticket=TICKET, evidence=[TUNNEL, TUNNEL]), ""),
        (
            pb.WriteBriefRequest(request_id="a", ticket=TICKET, options=pb.BriefOptions(max_words=501)),
            "options.max_words",
        ),
        (
            pb.WriteBriefRequest(request_id="a", ticket=TICKET, options=pb.BriefOptions(language="?")),
            "options.language",
        ),
        (
            pb.WriteBriefRequest(request_id="a", ticket=TICKET, evidence=[copied(TUNNEL, score=1.5)]),
            "evidence[0].score",
        ),
    ],
)
async def test_a_request_against_the_contract_is_refused_with_the_field(
    arrangement: Arrangement, request_: pb.WriteBriefRequest, field: str
) -> None:
    async with arrangement.service() as service:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.stub.WriteBrief(request_, metadata=service.acme.metadata)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    status = status_of(refused.value)
    assert status is not None
    assert field.encode() in status.SerializeToString()


MODEL_CALL = """
insert into synthesis.calls (tenant_id, request_id, content_hash, model, prompt_version, answer, finish,
    prompt_tokens, completion_tokens, cost, estimated, create_time)
values ($1, $2, '', $3, '1', '', 'complete', 100, 10, 0.000123, false, $4)
"""


def at(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


async def test_usage_is_summed_by_model_from_inclusive_until_exclusive(arrangement: Arrangement) -> None:
    start, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    moments = [start - timedelta(microseconds=1), start, end - timedelta(microseconds=1), end]
    for n, moment in enumerate(moments):
        await arrangement.execute(MODEL_CALL, arrangement.tenant("acme"), f"a{n}", "small", moment)
    await arrangement.execute(MODEL_CALL, arrangement.tenant("acme"), "b", "big", start)
    await arrangement.execute(MODEL_CALL, arrangement.tenant("globex"), "c", "big", start)
    async with arrangement.service() as service:
        usage = await service.acme.usage(pb.GetUsageRequest(start_time=at(start), end_time=at(end)))
        globex = await service.tenant("globex").usage(
            pb.GetUsageRequest(start_time=at(start), end_time=at(end))
        )
        empty = await service.acme.usage(pb.GetUsageRequest(start_time=at(end), end_time=at(end)))
    assert [
        (each.model, each.call_count, each.prompt_tokens, each.completion_tokens) for each in usage.models
    ] == [
        ("big", 1, 100, 10),
        ("small", 2, 200, 20),
    ]
    assert usage.cost == pytest.approx(0.000369)
    assert (usage.start_time, usage.end_time) == (at(start), at(end))
    assert [(each.model, each.call_count) for each in globex.models] == [("big", 1)]
    assert not empty.models


async def test_usage_without_a_period_is_the_current_months(arrangement: Arrangement) -> None:
    now = datetime.now(UTC)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    await arrangement.execute(
        MODEL_CALL, arrangement.tenant("acme"), "old", "small", month - timedelta(microseconds=1)
    )
    await arrangement.execute(MODEL_CALL, arrangement.tenant("acme"), "new", "small", month)
    async with arrangement.service() as service:
        usage = await service.acme.usage()
    assert [each.call_count for each in usage.models] == [1]
    assert usage.start_time.ToDatetime(UTC) == month
    assert usage.end_time.ToDatetime(UTC) >= now


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.GetUsageRequest(start_time=Timestamp(seconds=20), end_time=Timestamp(seconds=10)), "start_time"),
        (pb.GetUsageRequest(start_time=Timestamp(seconds=-(10**15))), "start_time"),
        (pb.GetUsageRequest(end_time=Timestamp(seconds=10**15)), "end_time"),
    ],
)
async def test_a_period_that_cannot_be_is_refused(
    arrangement: Arrangement, request_: pb.GetUsageRequest, field: str
) -> None:
    async with arrangement.service() as service:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.acme.usage(request_)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field in (refused.value.details() or "")
