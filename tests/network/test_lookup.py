"""What mentions turn out to be, in the network of the client who is asking."""

import grpc
import pytest

from dossier.network.v1 import network_service_pb2 as pb
from dossier.network.v1.inventory_pb2 import Asset, Prefix
from tests.network.client import Client

INVENTORY = [
    Asset(name="RTM-SRV-DC01", addresses=["10.20.10.11"], mac_addresses=["00:50:56:9A:01:0B"]),
    Asset(name="RTM-FW01", addresses=["203.0.113.2", "10.20.10.1", "2001:db8:20::1"]),
    Asset(name="mail.acme.example", addresses=["10.20.10.30"]),
    Asset(name="cold-spare", mac_addresses=["02:00:00:00:00:01"]),
]
PREFIXES = [
    Prefix(prefix="10.20.0.0/16", role="Aggregate"),
    Prefix(prefix="10.20.10.0/24", role="Servers", vlan_id=10),
    Prefix(prefix="203.0.113.0/29", role="Internet"),
    Prefix(prefix="2001:db8:20::/64", role="Servers"),
]


@pytest.fixture
async def client(acme: Client) -> Client:
    await acme.import_assets(INVENTORY)
    await acme.import_prefixes(PREFIXES)
    return acme


async def finding(client: Client, text: str) -> pb.MentionFinding:
    """The one finding in a text that has one."""
    (found,) = (await client.look_up(text)).findings
    return found


def brief(found: pb.MentionFinding) -> tuple[str, str, str, str]:
    verdict = pb.MentionVerdict.Name(found.verdict).removeprefix("MENTION_VERDICT_")
    return found.normalized, verdict, found.asset.name, found.prefix.prefix


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ping 10.20.10.11", ("10.20.10.11", "ASSET", "RTM-SRV-DC01", "10.20.10.0/24")),
        ("ping 10[.]20[.]10[.]11", ("10.20.10.11", "ASSET", "RTM-SRV-DC01", "10.20.10.0/24")),
        ("ping 2001:DB8:20:0::1", ("2001:db8:20::1", "ASSET", "RTM-FW01", "2001:db8:20::/64")),
        ("gateway 10.20.10.1", ("10.20.10.1", "ASSET", "RTM-FW01", "10.20.10.0/24")),
        ("DHCP gave 10.20.10.99", ("10.20.10.99", "PREFIX", "", "10.20.10.0/24")),
        ("DHCP gave 10.20.77.1", ("10.20.77.1", "PREFIX", "", "10.20.0.0/16")),
        ("it got 10.99.0.1", ("10.99.0.1", "UNKNOWN_PRIVATE", "", "")),
        ("it got 169.254.10.20", ("169.254.10.20", "UNKNOWN_PRIVATE", "", "")),
        ("CGNAT 100.64.0.1", ("100.64.0.1", "UNKNOWN_PRIVATE", "", "")),
        ("group 239.1.1.1", ("239.1.1.1", "UNKNOWN_PRIVATE", "", "")),
        ("link-local fe80::1", ("fe80::1", "UNKNOWN_PRIVATE", "", "")),
        ("resolver 8.8.8.8", ("8.8.8.8", "EXTERNAL", "", "")),
        ("resolver 2606:4700::1111", ("2606:4700::1111", "EXTERNAL", "", "")),
        ("range 10.20.10.128/25", ("10.20.10.128/25", "PREFIX", "", "10.20.10.0/24")),
        ("range 10.20.10.0/24", ("10.20.10.0/24", "PREFIX", "", "10.20.10.0/24")),
        ("range 10.0.0.0/8", ("10.0.0.0/8", "UNKNOWN_PRIVATE", "", "")),
        ("range 8.8.8.0/24", ("8.8.8.0/24", "EXTERNAL", "", "")),
        ("port of 0050.569a.010b", ("00:50:56:9a:01:0b", "ASSET", "RTM-SRV-DC01", "10.20.10.0/24")),
        ("port of 0050569A010B", ("00:50:56:9a:01:0b", "ASSET", "RTM-SRV-DC01", "10.20.10.0/24")),
        ("port of 02-00-00-00-00-01", ("02:00:00:00:00:01", "ASSET", "cold-spare", "")),
        ("port of 02:00:00:00:00:99", ("02:00:00:00:00:99", "UNKNOWN", "", "")),
        ("reboot rtm-srv-dc01!", ("RTM-SRV-DC01", "ASSET", "RTM-SRV-DC01", "10.20.10.0/24")),
        ("RTM-SRV-DC01.acme.local is down", ("RTM-SRV-DC01", "ASSET", "RTM-SRV-DC01", "10.20.10.0/24")),
        ("the mail is slow", ("mail.acme.example", "ASSET", "mail.acme.example", "10.20.10.0/24")),
        ("RTM-FW01", ("RTM-FW01", "ASSET", "RTM-FW01", "203.0.113.0/29")),
        ("cold-spare", ("cold-spare", "ASSET", "cold-spare", "")),
    ],
)
async def test_a_mention_is_judged(client: Client, text: str, expected: tuple[str, str, str, str]) -> None:
    assert brief(await finding(client, text)) == expected


@pytest.mark.parametrize(
    "text", ["the printer is slow", "order 202511231045", "agent v1.2.3.4", "mail.other.example", "\0"]
)
async def test_what_is_no_mention_is_not_answered(client: Client, text: str) -> None:
    assert not (await client.look_up(text)).findings


async def test_a_finding_tells_all_that_is_known(client: Client) -> None:
    found = await finding(client, "lost: DC01 is RTM-SRV-DC01")

    assert (found.mention, found.kind) == ("RTM-SRV-DC01", pb.MENTION_KIND_HOST_NAME)
    assert list(found.asset.mac_addresses) == ["00:50:56:9a:01:0b"]
    assert (found.prefix.role, found.prefix.vlan_id) == ("Servers", 10)


async def test_findings_stand_in_the_order_of_the_text_each_once(client: Client) -> None:
    text = "8.8.8.8, rtm-fw01 (10.20.10.1), RTM-FW01.acme.local, 00:50:56:9a:01:0b, 10.20.0.0/16, 8.8.8.8"

    found = (await client.look_up(text)).findings

    assert [each.mention for each in found] == [
        "8.8.8.8",
        "rtm-fw01",
        "10.20.10.1",
        "00:50:56:9a:01:0b",
        "10.20.0.0/16",
    ]
    assert [pb.MentionKind.Name(each.kind).removeprefix("MENTION_KIND_") for each in found] == [
        "IP_ADDRESS", "HOST_NAME", "IP_ADDRESS", "MAC_ADDRESS", "IP_PREFIX",
    ]  # fmt: skip


async def test_the_limit_cuts_and_says_so(client: Client) -> None:
    text = "10.20.10.11 then rtm-fw01 then 10.20.10.30"

    cut = await client.look_up(text, limit=2)
    whole = await client.look_up(text, limit=3)

    assert ([each.mention for each in cut.findings], cut.truncated) == (["10.20.10.11", "rtm-fw01"], True)
    assert (len(whole.findings), whole.truncated) == (3, False)


async def test_without_a_limit_there_are_fifty(client: Client) -> None:
    answer = await client.look_up(" ".join(f"10.1.0.{number}" for number in range(60)))

    assert (len(answer.findings), answer.truncated) == (50, True)


async def test_the_longest_text_is_answered(client: Client) -> None:
    words = " ".join(f"host{number} 10.9.{number // 256 % 256}.{number % 256}" for number in range(60_000))
    text = words[: 1_048_576 - 20] + " rtm-fw01"

    assert (await client.look_up(text, limit=1)).truncated
    names_only = " ".join(f"word{number}" for number in range(100_000)) + " rtm-fw01"
    assert [each.asset.name for each in (await client.look_up(names_only)).findings] == ["RTM-FW01"]


async def test_assets_that_share_an_address_are_spoken_for_by_the_first_name(acme: Client) -> None:
    await acme.import_assets(
        [Asset(name="node-b", addresses=["10.0.0.1"]), Asset(name="node-a", addresses=["10.0.0.1"])]
    )

    assert (await finding(acme, "10.0.0.1")).asset.name == "node-a"


async def test_a_name_of_its_own_goes_before_a_shared_first_label(acme: Client) -> None:
    await acme.import_assets(
        [Asset(name="web"), Asset(name="web.acme.example"), Asset(name="web.beta.example")]
    )

    assert (await finding(acme, "web is down")).asset.name == "web"
    assert (await finding(acme, "web.beta.example is down")).asset.name == "web.beta.example"


@pytest.mark.parametrize(
    "request_", [pb.LookupMentionsRequest(), pb.LookupMentionsRequest(text="x", limit=201)]
)
async def test_a_request_that_breaks_the_contract_is_refused(
    acme: Client, request_: pb.LookupMentionsRequest
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await acme.stub.LookupMentions(request_, metadata=acme.metadata)

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
