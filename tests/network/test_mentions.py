"""What counts as an address, a MAC or a possible host name in a text."""

import random

import pytest

from services.network.mentions import (
    AddressMention,
    HostCandidate,
    MacMention,
    Mention,
    PrefixMention,
    find_mentions,
)

CHARACTERS_OF_A_MEGABYTE = 1_048_576


def normalized(mention: Mention) -> str:
    match mention:
        case AddressMention():
            return str(mention.address)
        case PrefixMention():
            return str(mention.network)
        case MacMention():
            return mention.mac_address
        case HostCandidate():
            return mention.key


def numbers(text: str) -> list[str]:
    """Everything but names and what counts only if it is known."""
    return [
        normalized(each)
        for each in find_mentions(text)
        if not isinstance(each, HostCandidate) and not (isinstance(each, MacMention) and each.candidate)
    ]


def hosts(text: str) -> list[str]:
    return [each.key for each in find_mentions(text) if isinstance(each, HostCandidate)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ping 10.20.30.5 fails.", ["10.20.30.5"]),
        ("It is 10.20.30.5.", ["10.20.30.5"]),
        ("(10.20.30.5), IP:10.20.30.6;", ["10.20.30.5", "10.20.30.6"]),
        ("src=10.20.30.7:443->10.20.30.8:80", ["10.20.30.7", "10.20.30.8"]),
        ("10.0.0.1-10.0.0.9", ["10.0.0.1", "10.0.0.9"]),
        ("10[.]20[.]30[.]5 10(.)20(.)30(.)6 10[dot]20[dot]30[DOT]7", [f"10.20.30.{n}" for n in (5, 6, 7)]),
        ("printer label: 010.020.030.005", ["10.20.30.5"]),
        ("address 10.20.30.5 mask 255.255.255.0", ["10.20.30.5"]),
        ("http://10.20.30.5/24/status", ["10.20.30.5"]),
    ],
)  # fmt: skip
def test_ipv4_addresses_are_found_as_people_write_them(text: str, found: list[str]) -> None:
    assert numbers(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "build 10.2.3.4.5 is out",
        "agent v1.2.3.4",
        "Version 10.2.3.4 of the client",
        "firmware: 7.4.1.2",
        "10[.]2[.]3[.]4[.]5",
        "300.1.1.1",
        "1.2.3",
        "5.30.20.10.in-addr.arpa",
        "x10.20.30.5 and 10.20.30.5x",
        "10.20.30.5123",
    ],
)
def test_versions_and_lookalikes_are_not_addresses(text: str) -> None:
    assert numbers(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see [2001:DB8:0:0::1]:443", ["2001:db8::1"]),
        ("gateway fe80::1%eth0 and ::1", ["fe80::1", "::1"]),
        ("IPv6:2001:db8::2.", ["2001:db8::2"]),
        ("::ffff:10.20.30.5", ["10.20.30.5"]),
        ("2001:db8::/32 or 2001:db8::5/64", ["2001:db8::/32", "2001:db8::5"]),
    ],
)
def test_ipv6_addresses_are_found(text: str, found: list[str]) -> None:
    assert numbers(text) == found


@pytest.mark.parametrize(
    "text",
    ["12:30:45", "std::d1", "a::b", "foo::1", "00:11:22:33:44:55:66:77", "fe80::1x", "1:2:3:4:5:6:7:8:9"],
)
def test_times_qualified_names_and_storage_names_are_not_ipv6(text: str) -> None:
    assert numbers(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("VLAN 30 is 10.20.30.0/24.", "10.20.30.0/24"),
        ("route 0.0.0.0/0 missing", "0.0.0.0/0"),
        ("static 10.20.30.5/24", "10.20.30.5"),
        ("10.20.30.5/33", "10.20.30.5"),
    ],
)
def test_a_range_has_no_host_bits_and_an_address_may_carry_its_length(text: str, found: str) -> None:
    assert numbers(text) == [found]


@pytest.mark.parametrize(
    "written",
    [
        "aa:bb:cc:0d:ee:ff", "AA-BB-CC-0D-EE-FF", "aabb.cc0d.eeff", "AABB-CC0D-EEFF", "aa:bb:cc:d:ee:ff",
        "MAC:AA:BB:CC:0D:EE:FF",
    ],
)  # fmt: skip
def test_macs_are_found_in_every_notation(written: str) -> None:
    assert numbers(f"phone ({written}) has no link") == ["aa:bb:cc:0d:ee:ff"]


@pytest.mark.parametrize("written", ["aabbcc0deeff", "AABBCC-0DEEFF", "202511231045"])
def test_twelve_digits_in_a_row_are_only_a_candidate(written: str) -> None:
    macs = [each for each in find_mentions(f"serial {written}") if isinstance(each, MacMention)]

    assert [each.candidate for each in macs] == [True]


def test_a_mac_written_plainly_elsewhere_is_no_longer_a_candidate() -> None:
    assert numbers("aabbcc0deeff, that is aa:bb:cc:0d:ee:ff") == ["aa:bb:cc:0d:ee:ff"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RTM-SRV-DC01's disk", "rtm-srv-dc01"),
        ("**RTM-SRV-DC01**, __rtm-srv-dc01__", "rtm-srv-dc01"),
        ("\\\\rtm-srv-dc01\\share", "rtm-srv-dc01"),
        ("ask jan@rtm-srv-dc01.acme.example", "rtm-srv-dc01.acme.example"),
        ("rtm-srv-dc01[.]acme[.]example", "rtm-srv-dc01.acme.example"),
        ("Büro-PC-7 is slow", "büro-pc-7"),
    ],
)
def test_host_names_stand_out_of_their_punctuation(text: str, found: str) -> None:
    assert hosts(text).count(found) == 1


def test_pieces_of_addresses_are_not_names() -> None:
    assert hosts("10.20.30.5 aa:bb:cc:0d:ee:ff 2001:db8::beef/64 4411") == []


def test_mentions_stand_in_the_order_of_the_text_each_once() -> None:
    text = "10.0.0.9 aa:bb:cc:dd:ee:ff 10.0.0.1 10[.]0[.]0[.]9 AABB.CCDD.EEFF 10.0.0.0/8 web01 10.0.0.1"

    found = find_mentions(text)

    assert [each.text for each in found] == [
        "10.0.0.9",
        "aa:bb:cc:dd:ee:ff",
        "10.0.0.1",
        "10.0.0.0/8",
        "web01",
    ]
    assert all(text.startswith(each.text, each.start) for each in found)


@pytest.mark.parametrize(
    "unit",
    [
        "1.1.",
        "a",
        "a:",
        ":",
        "1",
        "1[.",
        "aa-bb-",
        "aa:",
        "x.",
        "version ",
        "10.0.0.1/",
        "-",
        "f.",
        "[dot]",
        "_",
    ],
)
def test_a_megabyte_of_anything_takes_linear_time(unit: str) -> None:
    """Linear is not a number of seconds: quadratic time would take an hour where this takes half a second."""
    find_mentions((unit * CHARACTERS_OF_A_MEGABYTE)[:CHARACTERS_OF_A_MEGABYTE])


def test_arbitrary_text_never_fails() -> None:
    source = random.Random(20)  # noqa: S311 - not for secrets
    alphabet = "0123456789abcdefABCDEFxz.:/-[]()%_ \n\0é٣"
    for _ in range(3000):
        text = "".join(source.choices(alphabet, k=60))
        for each in find_mentions(text):
            assert text.startswith(each.text, each.start)
            assert normalized(each)
