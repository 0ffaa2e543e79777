from dataclasses import replace

import pytest

from services.synthesis.model import Claim, Evidence, EvidenceId, EvidenceKind, TicketText, Verdict
from services.synthesis.verify import Checker, hard_facts

SOURCE = Evidence(
    id=EvidenceId("history:10270"),
    kind=EvidenceKind.PAST_TICKET,
    source="history",
    title="EDI: host key mismatch",
    text="Customers see no status updates since 02:00. The log says fingerprint does not match.",
    resolution=(
        "Carrier replaced their SFTP server. DON'T just accept the new key: fingerprint confirmed by phone"
        " with the EDI desk, then old entry removed from known_hosts on RTM-SRV-SFTP01 (10.20.90.10)."
        " Restarted the pull job; 40% of 340 files were done at 02:40."
    ),
    url="",
    score=0.4,
)
TICKET = TicketText("10508", "No status", "RTM-SRV-EDI09 complains.")


def verdict(text: str, *, source: Evidence = SOURCE, language: str = "en") -> Verdict:
    return Checker({source.id: source}, TICKET, language).judged(Claim(text, (source.id,))).verdict


@pytest.mark.parametrize(
    "text",
    [
        "The carrier replaced their SFTP server.",
        "Remove the old entry from known_hosts on RTM-SRV-SFTP01 (10.20.90.10), then restart the pull job.",
        "In #10270 the fingerprint was confirmed by phone with the EDI desk.",
        "Do not just accept the new key.",
        "The fingerprint didn’t match.",  # noqa: RUF001 - as a model types it
        "Restarted the pull job; 40 % of 340 files were done.",
    ],
)
def test_what_the_source_says_is_supported(text: str) -> None:
    assert verdict(text) is Verdict.SUPPORTED


@pytest.mark.parametrize(
    "text",
    [
        "Just accept the new key.",
        "The carrier never replaced their SFTP server.",
        "Restart the pull job on RTM-SRV-EDI09.",
        "Restart the pull job, tell the customers and write a report about the SFTP server.",
    ],
)
def test_what_it_says_in_part_or_the_other_way_round_is_partial(text: str) -> None:
    assert verdict(text) is Verdict.PARTIAL


@pytest.mark.parametrize(
    "text",
    [
        "Restart the pull job on RTM-SRV-SFTP02.",
        "Remove the old entry from known_hosts on 10.20.90.11.",
        "Restarted the pull job; all 341 files were done.",
        "Restart the pull job by aka.ms/fixit.",
        "Order new toner for the copier.",
        "...",
        "",
    ],
)
def test_what_it_does_not_say_is_unsupported(text: str) -> None:
    assert verdict(text) is Verdict.UNSUPPORTED


def test_the_end_of_a_long_source_counts() -> None:
    source = replace(SOURCE, text="noise " * 10_000)
    assert verdict("Restarted the pull job.", source=source) is Verdict.SUPPORTED


def test_in_another_language_hard_facts_are_all_that_can_be_checked() -> None:
    assert verdict("Herstart de taak op RTM-SRV-SFTP01.", language="nl") is Verdict.PARTIAL
    assert verdict("Herstart de taak op RTM-SRV-SFTP02.", language="nl") is Verdict.UNSUPPORTED
    assert verdict("The carrier replaced their SFTP server.", language="EN-gb") is Verdict.SUPPORTED


def test_hard_facts_are_numbers_names_with_digits_addresses_and_links() -> None:
    text = "On VNL-FW02 (10.30.5.1), 40%: see smtp.office365.com:587, scan@acme.example, aka.ms/x; C:\\temp."
    assert hard_facts(text) == {
        "vnl-fw02",
        "10.30.5.1",
        "40",
        "smtp.office365.com:587",
        "scan@acme.example",
        "aka.ms/x",
        "c:\\temp",
    }
