import re

import pytest

from egress.guard import Refused
from egress.permits import Permits


def reaches(permits: Permits, tenant: str, *addresses: str) -> bool:
    try:
        permits.guard(tenant).check_addresses(addresses)
    except Refused:
        return False
    return True


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.0.1",
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "169.254.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fc00::1",
        "fe80::1",
        "fe80::1%2",
        "ff02::1",
        "::ffff:10.1.2.3",
        "::127.0.0.1",
        "64:ff9b::10.1.2.3",
        "2002:a01:203::1",
    ],
)
def test_without_a_permit_only_the_public_is_reached(address: str) -> None:
    assert not reaches(Permits.parse(""), "acme", address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_the_public_needs_no_permit(address: str) -> None:
    assert reaches(Permits.parse(""), "acme", address)


def test_a_permit_opens_its_network_and_nothing_beside_it() -> None:
    permits = Permits.parse(" 10.20.0.0/16 ,fd00:1::/32,, ")
    assert reaches(permits, "acme", "10.20.255.1", "fd00:1::9", "::ffff:10.20.0.1", "64:ff9b::10.20.0.1")
    assert not reaches(permits, "acme", "10.21.0.1")
    assert not reaches(permits, "acme", "fd00:2::9")


def test_a_tenants_permit_is_that_tenants_alone() -> None:
    permits = Permits.parse("192.168.1.0/24, acme=10.20.0.0/16, acme = 10.30.0.0/16, globex=10.20.7.0/24")
    assert reaches(permits, "acme", "10.20.1.1", "10.30.1.1", "192.168.1.1")
    assert reaches(permits, "globex", "10.20.7.1", "192.168.1.1")
    assert not reaches(permits, "globex", "10.20.1.1")
    assert reaches(permits, "initech", "192.168.1.1")
    assert not reaches(permits, "initech", "10.20.7.1")


def test_one_address_that_is_not_permitted_spoils_all() -> None:
    assert not reaches(Permits.parse("10.20.0.0/16"), "acme", "8.8.8.8", "10.20.0.1", "10.21.0.1")


@pytest.mark.parametrize(
    ("permit", "address"),
    [
        ("100.64.0.0/10", "100.100.100.200"),
        ("fc00::/7", "fd00:ec2::254"),
        ("fc00::/7", "fd20:ce::254"),
        ("10.0.0.0/8", "168.63.129.16"),
        ("10.0.0.0/8", "::ffff:0:10.0.0.1"),
    ],
    ids=["alibaba", "aws", "google", "azure", "translated"],
)
def test_a_permit_for_a_range_opens_no_metadata_service_within_it(permit: str, address: str) -> None:
    permits = Permits.parse(permit)
    assert reaches(permits, "acme", permit.partition("/")[0])
    assert not reaches(permits, "acme", address)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10.1.2.3/8", "'10.1.2.3/8' is not a network: 10.1.2.3/8 has host bits set"),
        ("intranet", "'intranet' is not a network"),
        ("0.0.0.0/0", "cannot be permitted: it has to lie within one of 10.0.0.0/8, "),
        ("10.0.0.0/7", "cannot be permitted"),
        ("8.8.8.0/24", "cannot be permitted"),
        ("169.254.169.254", "and is Cloud metadata"),
        ("169.254.0.0/16", "and is Link Local"),
        ("100.100.100.200/32", "and is Cloud metadata"),
        ("64:ff9b::/96", "and is IPv4-IPv6 Translation"),
        ("::/0", "cannot be permitted"),
        ("=10.0.0.0/8", "'' is not the id of a tenant; write acme=10.20.0.0/16"),
        ("Acme Inc=10.0.0.0/8", "'Acme Inc' is not the id of a tenant"),
        ("a=b=10.0.0.0/8", "'a=b' is not the id of a tenant"),
        ("acme=", "'' is not a network"),
    ],
)
def test_what_is_no_private_network_is_told(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        Permits.parse(f"192.168.0.0/16,{text}")


def test_a_refusal_says_where_it_leads_and_who_could_permit_it() -> None:
    guard = Permits.parse("").guard("acme")
    with pytest.raises(Refused) as private:
        guard.check_addresses(["10.1.2.3"])
    with pytest.raises(Refused) as metadata:
        guard.check_url("http://169.254.169.254/latest")
    assert str(private.value) == (
        "leads to 10.1.2.3, which is not public: 10.0.0.0/8 is Private-Use (RFC1918);"
        " the operator can permit it with DOSSIER_PERMITTED_NETWORKS"
    )
    assert str(metadata.value).endswith(
        "is Cloud metadata (AWS, GCP, Azure IMDS) (RFC3927); nothing can permit it"
    )


@pytest.mark.parametrize("port", [1, 80, 8080, 8443, 65535])
def test_any_port_may_be_the_tools(port: int) -> None:
    target = Permits.parse("").guard("acme").check_url(f"https://desk.example:{port}/path")
    assert (target.host, target.port) == ("desk.example", port)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://desk.example/",
        "//desk.example",
        "http://desk.example:0/",
        "http://desk.example:65536/",
        "http://user:pass@desk.example/",
        "http://trusted.example@127.0.0.1/",
        "http://desk.example\r\n@127.0.0.1/",
        "http://[::1/",
        "http://",
        "http://①②⑦.⓪.⓪.①/",
        f"http://{'a.' * 200}example/",
    ],
)
def test_a_url_in_disguise_is_refused_before_any_lookup(url: str) -> None:
    with pytest.raises(Refused):
        Permits.parse("").guard("acme").check_url(url)
