"""Importing, reading, listing and deleting a client's assets and prefixes."""

from ipaddress import ip_network

import grpc
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # generated without stubs

from dossier.network.v1.inventory_pb2 import Asset, Prefix
from dossier.network.v1.network_service_pb2 import ImportAssetsResponse
from services.runtime.errors import error_info, status_of
from tests.network.client import Client

SERVER = Asset(
    name="RTM-SRV-01",
    type="Server",
    addresses=["10.20.30.5", "2001:db8:0::5"],
    mac_addresses=["AABB.CC0D.EEFF"],
    site="rotterdam",
    role="File server",
    model="R650",
    serial="7KQ2",
    operating_system="Windows Server 2022",
    owner="Northquay",
    criticality="high",
    notes='Says "hello"\nin two lines',
)
SERVERS = Prefix(
    prefix="10.20.30.0/24",
    site="rotterdam",
    vlan_id=30,
    vlan_name="RTM-SERVERS",
    role="Servers",
    gateway="10.20.30.1",
    description="Server VMs",
)


def counts(report: ImportAssetsResponse) -> tuple[int, int, int, int]:
    return report.created_count, report.updated_count, report.unchanged_count, report.rejected_count


def failure(
    raised: pytest.ExceptionInfo[grpc.aio.AioRpcError],
) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    info = error_info(raised.value)
    assert info is not None
    assert info.domain == "network.dossier"
    return raised.value.code(), info.reason, dict(info.metadata)


def fields_at_fault(raised: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> list[str]:
    status = status_of(raised.value)
    assert status is not None
    bad_request = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad_request) for detail in status.details)
    return [violation.field for violation in bad_request.field_violations]


async def test_an_imported_asset_reads_back_in_its_usual_forms(acme: Client) -> None:
    await acme.import_assets([SERVER])

    kept = await acme.asset("rtm-srv-01")

    expected = Asset()
    expected.CopyFrom(SERVER)
    expected.addresses[1] = "2001:db8::5"
    expected.mac_addresses[0] = "aa:bb:cc:0d:ee:ff"
    assert kept == expected


async def test_an_imported_prefix_reads_back(acme: Client) -> None:
    await acme.import_prefixes([SERVERS, Prefix(prefix="10.0.0.0/8")])

    assert list((await acme.prefixes()).prefixes) == [Prefix(prefix="10.0.0.0/8"), SERVERS]


async def test_rows_are_counted_as_created_updated_or_unchanged(acme: Client) -> None:
    other = Asset(name="other", addresses=["10.0.0.1"])
    moved = Asset(name="OTHER", addresses=["10.0.0.2"])

    assert counts(await acme.import_assets([SERVER, other])) == (2, 0, 0, 0)
    assert counts(await acme.import_assets([SERVER, moved], [Asset(name="new")])) == (1, 1, 1, 0)
    assert list((await acme.asset("other")).addresses) == ["10.0.0.2"]


async def test_prefixes_are_counted_too(acme: Client) -> None:
    first = await acme.import_prefixes([SERVERS])
    again = await acme.import_prefixes([SERVERS, Prefix(prefix="10.20.30.0/25")])
    changed = await acme.import_prefixes([Prefix(prefix="10.20.30.0/24", role="Attic")])

    assert (first.created_count, first.unchanged_count) == (1, 0)
    assert (again.created_count, again.unchanged_count) == (1, 1)
    assert changed.updated_count == 1
    assert (await acme.prefixes()).prefixes[0] == Prefix(prefix="10.20.30.0/24", role="Attic")


async def test_of_two_rows_with_one_name_the_later_counts(acme: Client) -> None:
    report = await acme.import_assets([Asset(name="twin", site="a"), Asset(name="TWIN", site="b")])

    assert counts(report) == (1, 1, 0, 0)
    assert [(each.name, each.site) for each in (await acme.assets()).assets] == [("TWIN", "b")]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (Asset(), "name"),
        (Asset(name="two words"), "name"),
        (Asset(name="a\0b"), "name"),
        (Asset(name="a", notes="\0"), "notes"),
        (Asset(name="a", addresses=["10.20.30.5", "10.20.30.256"]), "addresses"),
        (Asset(name="a", addresses=["10.20.30.5/24"]), "addresses"),
        (Asset(name="a", addresses=["fe80::1%eth0"]), "addresses"),
        (Asset(name="a", mac_addresses=["aa:bb"]), "mac_addresses"),
        (Asset(name="a", serial="s" * 257), "serial"),
    ],
)
async def test_a_broken_asset_is_rejected_by_itself(acme: Client, row: Asset, field: str) -> None:
    report = await acme.import_assets([Asset(name="first")], [row, Asset(name="last")])

    assert counts(report) == (2, 0, 0, 1)
    assert [(each.row, each.field) for each in report.rejected] == [(2, field)]
    assert report.rejected[0].reason
    assert [each.name for each in (await acme.assets()).assets] == ["first", "last"]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (Prefix(), "prefix"),
        (Prefix(prefix="10.20.30.5/24"), "prefix"),
        (Prefix(prefix="10.20.30.0"), "prefix"),
        (Prefix(prefix="10.0.0.0/8", vlan_id=4095), "vlan_id"),
        (Prefix(prefix="10.0.0.0/8", gateway="router"), "gateway"),
        (Prefix(prefix="fe80::/10", gateway="fe80::1%eth0"), "gateway"),
        (Prefix(prefix="10.0.0.0/8", site="\0"), "site"),
    ],
)
async def test_a_broken_prefix_is_rejected_by_itself(acme: Client, row: Prefix, field: str) -> None:
    report = await acme.import_prefixes([row, SERVERS])

    assert (report.created_count, report.rejected_count) == (1, 1)
    assert [(each.row, each.id, each.field) for each in report.rejected] == [(1, row.prefix, field)]


async def test_a_rejection_says_the_rule_in_words(acme: Client) -> None:
    report = await acme.import_assets([Asset(name="a", mac_addresses=["zz"]), Asset(name="b c")])

    assert [(each.id, each.reason) for each in report.rejected] == [
        ("a", "must be MAC addresses"),
        ("b c", "must have no white space and no slash"),
    ]


async def test_only_the_first_hundred_rejections_are_told(acme: Client) -> None:
    report = await acme.import_assets([Asset(name="no good")] * 400)

    assert report.rejected_count == 400
    assert [each.row for each in report.rejected] == list(range(1, 101))


async def test_a_message_of_more_than_500_rows_is_refused_whole(acme: Client) -> None:
    rows = [Asset(name=f"host{number}") for number in range(501)]

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await acme.import_assets([Asset(name="before")], rows)

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields_at_fault(raised) == ["assets"]
    # The message before it was committed when it was taken.
    assert [each.name for each in (await acme.assets()).assets] == ["before"]


async def test_prefixes_too_come_at_most_500_in_a_message(acme: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await acme.import_prefixes([SERVERS] * 501)

    assert fields_at_fault(raised) == ["prefixes"]
    assert not (await acme.prefixes()).prefixes


async def test_an_import_of_nothing_is_no_error(acme: Client) -> None:
    assert counts(await acme.import_assets()) == (0, 0, 0, 0)
    assert counts(await acme.import_assets([])) == (0, 0, 0, 0)


async def test_assets_are_listed_by_name_page_by_page(acme: Client) -> None:
    await acme.import_assets([Asset(name=name) for name in ("c", "A", "b", "é", "d")])

    first = await acme.assets(page_size=2)
    second = await acme.assets(page_size=2, page_token=first.next_page_token)
    last = await acme.assets(page_size=2, page_token=second.next_page_token)

    assert [each.name for page in (first, second, last) for each in page.assets] == ["A", "b", "c", "d", "é"]
    assert last.next_page_token == ""


async def test_prefixes_are_listed_in_address_order_page_by_page(acme: Client) -> None:
    written = ["2001:db8::/32", "10.10.0.0/16", "10.9.0.0/16", "10.0.0.0/8", "9.0.0.0/8"]
    await acme.import_prefixes([Prefix(prefix=each) for each in written])

    pages = [await acme.prefixes(page_size=2)]
    while pages[-1].next_page_token:
        pages.append(await acme.prefixes(page_size=2, page_token=pages[-1].next_page_token))

    listed = [each.prefix for page in pages for each in page.prefixes]
    assert listed == ["9.0.0.0/8", "10.0.0.0/8", "10.9.0.0/16", "10.10.0.0/16", "2001:db8::/32"]
    assert len(pages) == 3


async def test_a_page_token_of_another_list_is_refused(acme: Client, globex: Client) -> None:
    await acme.import_assets([Asset(name="a"), Asset(name="b")])
    token = (await acme.assets(page_size=1)).next_page_token

    for call in (
        globex.assets(page_token=token),
        acme.prefixes(page_token=token),
        acme.assets(page_token="x"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert fields_at_fault(raised) == ["page_token"]


async def test_a_deleted_asset_is_gone_with_its_addresses(acme: Client) -> None:
    await acme.import_assets([SERVER])

    await acme.delete_asset("rtm-srv-01")

    assert not (await acme.assets()).assets
    assert not (await acme.look_up("10.20.30.5 aa:bb:cc:0d:ee:ff")).findings[0].HasField("asset")


@pytest.mark.parametrize("name", ["nobody", "no\0body", "nobody%"])
async def test_an_unknown_asset_is_not_found(acme: Client, name: str) -> None:
    for call in (acme.asset(name), acme.delete_asset(name)):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert failure(raised) == (grpc.StatusCode.NOT_FOUND, "ASSET_NOT_FOUND", {"name": name})


async def test_a_deleted_prefix_is_gone_and_an_unknown_one_not_found(acme: Client) -> None:
    await acme.import_prefixes([SERVERS])
    await acme.delete_prefix("10.20.30.0/24")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await acme.delete_prefix("10.20.30.0/24")

    assert failure(raised) == (grpc.StatusCode.NOT_FOUND, "PREFIX_NOT_FOUND", {"prefix": "10.20.30.0/24"})
    assert not (await acme.prefixes()).prefixes


async def test_a_prefix_with_host_bits_cannot_be_deleted(acme: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await acme.delete_prefix("10.20.30.5/24")

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields_at_fault(raised) == ["prefix"]


async def test_every_prefix_that_the_contract_accepts_is_kept(acme: Client) -> None:
    rows = [Prefix(prefix=str(ip_network((0x0A000000, length), strict=False))) for length in range(33)]
    rows += [
        Prefix(prefix=str(ip_network((0x20010DB8 << 96, length), strict=False))) for length in range(129)
    ]

    report = await acme.import_prefixes(rows)

    assert (report.created_count, report.rejected_count) == (len({each.prefix for each in rows}), 0)
