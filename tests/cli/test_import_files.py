"""Files as the world writes them, checked with --dry-run: what is understood, and what is told."""

import codecs
import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cli.errors import DossierError
from cli.importing.files import opened
from cli.importing.kinds import KINDS
from cli.importing.rows import Row
from cli.importing.run import Import
from tests.converting.documents import pdf, scanned_pdf, word
from tests.support.command import Command, Done

TICKET = {"id": "1", "title": "VPN drops", "created": "2026-01-02T03:04:05Z", "tags": ["vpn"]}


def lines(*rows: object) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


@pytest.fixture
def check(command: Command, tmp_path: Path) -> Any:
    def run(what: str, content: str | bytes, *options: str, name: str = "file") -> Done:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return command("import", what, str(file), "--dry-run", "--json", *options)

    return run


def test_the_sample_is_valid_in_every_format(command: Command) -> None:
    for what, path, rows in (
        ("tickets", "cli/sample/tickets.jsonl", 200),
        ("articles", "cli/sample/articles", 40),
        ("assets", "cli/sample/assets.csv", 60),
        ("prefixes", "cli/sample/prefixes.csv", 26),
    ):
        done = command("import", what, str(Path(__file__).parents[2] / path), "--dry-run", "--json")

        assert (done.code, done.problems) == (0, "")
        assert (done.object["rows"], done.object["rejected"]) == (rows, 0), what
        assert done.object["unknown_columns"] == []


def test_each_bad_row_is_told_with_its_line_its_field_and_the_reason(check: Any) -> None:
    done = check(
        "tickets",
        lines(
            TICKET,
            "{oops",
            "",
            "[1]",
            TICKET | {"id": "2", "title": ""},
            TICKET | {"id": "a/b"},
            TICKET | {"id": "3", "created": "last Tuesday"},
            TICKET | {"id": "4", "description": {"html": "x"}},
        ),
    )

    assert done.code == 1
    assert (done.object["rows"], done.object["valid"]) == (7, 1)
    told = [(each["row"], each["line"], each["id"], each["field"]) for each in done.object["rejections"]]
    assert told == [
        (2, 2, "", ""),
        (3, 4, "", ""),
        (4, 5, "2", "title"),
        (5, 6, "a/b", "id"),
        (6, 7, "3", "created"),
        (7, 8, "4", "description"),
    ]
    assert "column 2" in done.object["rejections"][0]["reason"]
    assert "2026-04-29T10:00:00Z" in done.object["rejections"][4]["reason"]


def test_rejected_rows_fail_the_import_unless_allowed(check: Any) -> None:
    rows = lines(TICKET, TICKET | {"title": ""})

    assert check("tickets", rows).code == 1
    assert check("tickets", rows, "--allow-rejects").code == 0


def test_numbers_nulls_and_unknown_fields_in_json_are_no_obstacle(check: Any) -> None:
    done = check(
        "tickets", lines(TICKET | {"id": 10127, "resolution": None, "created": 1767323045000, "mood": 1})
    )

    assert done.object["rejected"] == 0
    assert done.object["unknown_columns"] == ["mood"]


def test_a_json_array_is_told_how_to_become_lines(check: Any) -> None:
    done = check("tickets", json.dumps([TICKET]))

    assert done.code == 1
    assert "jq -c" in done.error["hint"]


NETBOX = (
    '\ufeff"Name";"Role";"Status";"Site";"Platform";"Model";"Serial";"IPv4";"IPv6"\n'
    '"RTM-SW-01";"Switch";"Active";"rotterdam-hq";"IOS XE";"C9300";"FCW1";"10.20.5.2/24";"2001:db8::2/64"\n'
)
IT_GLUE = (
    "organization,name,configuration_type,hostname,primary_ip,mac_address,serial_number\n"
    "Acme,RTM-FW01,Firewall,rtm-fw01,10.20.5.1,00:11:22:33:44:55,S1\n"
)
LANSWEEPER = (
    "AssetName\tDomain\tIPAddress\tMac\tType\tModel\n"
    "RTM-PC7\tACME\t10.20.40.7\t00-11-22-33-44-66\tWindows\tX1\n"
)


@pytest.mark.parametrize(
    ("content", "mapping", "unknown"),
    [
        (
            NETBOX.encode(),
            {"IPv4": "addresses", "IPv6": "addresses", "Platform": "operating_system", "Role": "role"},
            ["Status"],
        ),
        (
            IT_GLUE.encode(),
            {"configuration_type": "type", "primary_ip": "addresses", "serial_number": "serial"},
            ["organization"],
        ),
        (
            LANSWEEPER.encode("utf-16"),
            {"AssetName": "name", "IPAddress": "addresses", "Mac": "mac_addresses"},
            ["Domain"],
        ),
    ],
    ids=["netbox", "it-glue", "lansweeper"],
)
def test_the_exports_of_other_inventories_are_understood(
    check: Any, content: bytes, mapping: dict[str, str], unknown: list[str]
) -> None:
    done = check("assets", content)

    assert (done.code, done.object["rejections"]) == (0, [])
    assert done.object["columns"].items() >= mapping.items()
    assert done.object["unknown_columns"] == unknown


def test_subnet_and_mask_make_a_prefix(check: Any) -> None:
    done = check(
        "prefixes",
        "Section,Subnet,Mask,Description,VLAN\n"
        "HQ,10.20.5.0,24,Management,5\n"
        "HQ,10.20.6.0,255.255.255.0,Voice,Voice (30)\n"
        "HQ,10.20.7.1,24,host bits,7\n"
        "HQ,10.20.8.0,33,no mask,8\n"
        "HQ,10.20.9.0,24,no number,eight\n",
    )

    assert [(each["line"], each["field"]) for each in done.object["rejections"]] == [
        (4, "prefix"),
        (5, "prefix"),
        (6, "vlan_id"),
    ]


def test_a_column_of_ones_own_is_mapped_by_hand(check: Any) -> None:
    content = "Bezeichnung,Typ\nRTM-PC8,Laptop\n"

    unmapped = check("assets", content)
    mapped = check("assets", content, "--map", "Bezeichnung=name")

    assert "Bezeichnung" in unmapped.error["message"]
    assert '--map "Their Column=name"' in unmapped.error["hint"]
    assert mapped.object["columns"] == {"Bezeichnung": "name"}
    assert mapped.object["unknown_columns"] == ["Typ"]


@pytest.mark.parametrize(
    ("mapping", "code"), [("Bezeichnung=nonsense", 2), ("Absent=name", 1), ("no pair", 2)]
)
def test_a_mapping_that_leads_nowhere_is_an_error(check: Any, mapping: str, code: int) -> None:
    done = check("assets", "Bezeichnung\nRTM-PC8\n", "--map", mapping)

    assert done.code == code
    assert done.error["hint"]


def test_line_numbers_hold_after_cells_of_many_lines(check: Any) -> None:
    done = check("assets", 'Name,Notes\nPC1,"one\ntwo\nthree"\n\nPC 2,bad name\nPC3,a,cell too many\n')

    told = [(each["row"], each["line"], each["field"]) for each in done.object["rejections"]]
    assert told == [(2, 6, "name"), (3, 7, "")]


def test_excels_separator_line_and_windows_letters_are_understood(check: Any) -> None:
    done = check("assets", "sep=;\nName;Owner;Notes\nPC1;Käthe;grün\nPC/2;x;y\n".encode("cp1252"))

    assert done.object["rows"] == 2
    assert [each["line"] for each in done.object["rejections"]] == [4]


def test_a_folder_of_markdown_is_articles_with_what_their_files_say(command: Command, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "plain.md").write_text("# How to reset\n\nPress the button.\n")
    (tmp_path / "whole.md").write_text(
        "---\nid: KB-1\ntitle: Whole\nupdated: 2026-04-29\nowner: me\n---\nText\n"
    )
    (tmp_path / "broken.md").write_text("---\ntitle: [\n---\nText\n")
    (tmp_path / "latin.md").write_bytes("Käse".encode("latin-1"))
    (tmp_path / "notes.txt").write_text("not an article")

    done = command("import", "articles", str(tmp_path), "--dry-run", "--json")

    assert (done.object["format"], done.object["rows"], done.object["valid"]) == ("documents", 4, 2)
    told = {each["file"]: each["reason"] for each in done.object["rejections"]}
    assert "YAML" in told["broken.md"]
    assert told["latin.md"] == "is not UTF-8"
    assert done.object["unknown_columns"] == ["owner"]


def test_documents_are_articles_beside_markdown_and_each_that_is_none_is_told(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "guide.md").write_text("# Guide\n\nText\n")
    (tmp_path / "guide.pdf").write_bytes(pdf())
    (tmp_path / "my scan.docx").write_bytes(word())
    (tmp_path / "page.HTM").write_text("<title>Page</title><p>Text</p>")
    (tmp_path / "locked.pdf").write_bytes(pdf(password="secret"))
    (tmp_path / "scanned.pdf").write_bytes(scanned_pdf())
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "guide.pdf").write_bytes(pdf())
    for name in ("a.png", "b.PNG", "list.xlsx", ".hidden"):
        (tmp_path / name).write_text("x")

    done = command("import", "articles", str(tmp_path), "--dry-run", "--json")
    shown = command("import", "articles", str(tmp_path), "--dry-run")

    assert (done.object["rows"], done.object["valid"]) == (7, 4)
    assert {each["file"]: each["reason"] for each in done.object["rejections"]} == {
        "locked.pdf": "is encrypted: save it without a password",
        "scanned.pdf": "has no text: scanned?",
        "sub/guide.pdf": "is that of guide.pdf, too: rename one of them",
    }
    assert done.object["passed_over"] == {".png": 2, ".xlsx": 1}
    assert "Passed over, of no kind that is read: 2 .png, 1 .xlsx" in shown.out


def test_one_document_is_an_article(tmp_path: Path) -> None:
    file = tmp_path / "my scan.docx"
    file.write_bytes(word())

    with opened(str(file), KINDS["articles"], renamed={}) as rows:
        [row] = rows.each

    assert isinstance(row, Row)
    assert row.values["id"] == "my-scan.docx"
    assert row.values["title"] == "Scan to mail fails"
    assert "# Cause" in str(row.values["body"])


def test_documents_of_a_folder_can_be_found_by_their_passages(on_mesh: Command, tmp_path: Path) -> None:
    (tmp_path / "scan.docx").write_bytes(word())
    (tmp_path / "scanned.pdf").write_bytes(scanned_pdf())

    done = on_mesh("import", "articles", str(tmp_path), "--source", "documents", "--json")
    found = on_mesh("search", "articles", "scan to mail, basic authentication is off", "--json")

    assert (done.code, done.object["created"], done.object["rejected"]) == (1, 1, 1)
    assert "Basic authentication is off." in json.dumps(found.object)


@pytest.mark.parametrize(("what", "path"), [("tickets", "."), ("articles", "/nowhere/to/be/found")])
def test_what_cannot_be_opened_is_an_error_with_the_next_step(command: Command, what: str, path: str) -> None:
    done = command("import", what, path, "--dry-run", "--json")

    assert done.code == 1
    assert done.error["hint"]


@pytest.mark.parametrize("before", ["", "sep=;\n"])
def test_progress_counts_rows_and_not_the_header(tmp_path: Path, before: str) -> None:
    file = tmp_path / "prefixes.csv"
    file.write_text(f"{before}Prefix;Site\n10.0.0.0/24;a\n10.0.1.0/24;b\n")

    advanced: list[int] = []
    with opened(str(file), KINDS["prefixes"], renamed={}) as rows:
        Import(KINDS["prefixes"], rows, advance=advanced.append).check()

    assert rows.total == sum(advanced) == 2


CSV = "id,title\n1,VPN drops\n2,VPN is back\n"


@pytest.mark.parametrize(
    ("content", "name", "form"),
    [
        (lines(TICKET, TICKET | {"id": "2"}), "tickets.ndjson.gz", "jsonl"),
        (lines(TICKET, TICKET | {"id": "2"}), "tickets", "jsonl"),
        (CSV, "tickets.csv.gz", "csv"),
        (CSV, "tickets.csv", "csv"),
    ],
)
def test_gzip_is_read_whatever_its_file_is_called(check: Any, content: str, name: str, form: str) -> None:
    done = check("tickets", gzip.compress(content.encode()), name=name)

    assert (done.code, done.object["format"], done.object["valid"]) == (0, form, 2)


def test_lines_of_gzip_are_counted_as_they_are_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "tickets.csv.gz"
    file.write_bytes(gzip.compress(CSV.encode()) + gzip.compress(b"3,a third member\n"))

    advanced: list[int] = []
    with opened(str(file), KINDS["tickets"], renamed={}) as rows:
        Import(KINDS["tickets"], rows, advance=advanced.append).check()

    assert rows.total == sum(advanced) == 3


ZIPPED = gzip.compress(CSV.encode() * 50, mtime=0)


@pytest.mark.parametrize(
    "content", [b"\x1f\x8b\x08broken", ZIPPED[:-12], ZIPPED[:12] + b"\xff" * 8 + ZIPPED[20:], ZIPPED + b"!"]
)
@pytest.mark.parametrize("name", ["tickets.csv.gz", "tickets.jsonl.gz", "tickets"])
def test_damaged_gzip_is_an_error_before_anything_is_sent(tmp_path: Path, content: bytes, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)

    with (
        pytest.raises(DossierError, match=f"{name} cannot be read: its gzip is damaged") as told,
        opened(str(file), KINDS["tickets"], renamed={}),
    ):
        pass

    assert "Pack it again" in told.value.hint


def test_a_byte_that_is_no_text_rejects_its_row_and_no_other(check: Any) -> None:
    late = "".join(f"{number},Straße\n" for number in range(5_000)).encode()
    unmapped = b"id,title,mood\n1,VPN,x\x9dy\n"

    for content, rejected in (
        (b"id,title\nA,x\x9dy\nB,VPN\n", [(1, 2, "A", "title")]),
        (b"id,title\nx\x9d,a\nB,VPN\n", [(1, 2, "x?", "id")]),
        (b"id,title\n" + late + b"A,x\xffy\nB,VPN\n", [(5_001, 5_002, "A", "title")]),
        (unmapped, []),
    ):
        done = check("tickets", content)

        told = [(each["row"], each["line"], each["id"], each["field"]) for each in done.object["rejections"]]
        assert told == rejected
        assert all("is not text" in each["reason"] for each in done.object["rejections"])


def test_a_letter_at_the_edge_of_what_is_looked_at_first_is_still_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "tickets.csv"
    for filling in range(8_150, 8_200):
        file.write_text(f"id,title\n1,{'x' * filling}ß\n", encoding="utf-8")
        with opened(str(file), KINDS["tickets"], renamed={}) as rows:
            [row] = rows.each
        assert isinstance(row, Row)
        assert str(row.values["title"]).endswith("xß")


@pytest.mark.parametrize("what", ["tickets", "articles"])
def test_what_is_no_text_at_all_is_an_error_that_names_the_file(
    check: Any, what: str, tmp_path: Path
) -> None:
    book = tmp_path / "book.xlsx"
    with zipfile.ZipFile(book, "w") as archive:
        archive.writestr("sheet.xml", "<row/>")

    for content in (
        bytes(range(256)) * 20,
        book.read_bytes(),
        b"id\x9d,title\n",
        b"id,title\x1b[2J\n",
        CSV.encode("utf-16-le"),
        codecs.BOM_UTF16_LE + CSV.encode("utf-16-le")[:-1],
    ):
        done = check(what, content, name="export.dat")

        assert done.code == 1
        assert "export.dat" in done.error["message"]
        assert "UTF-8" in done.error["hint"]


def test_a_file_of_nothing_is_told(check: Any) -> None:
    assert "There is nothing in" in check("tickets", b"", name="a.csv").error["message"]
    assert "There is nothing in" in check("tickets", b" \n\n", name="a").error["message"]
    assert "There is nothing in" in check("tickets", gzip.compress(b"")).error["message"]
    # Rows of nothing are no mistake: nothing was new.
    assert (check("tickets", b"", name="a.jsonl").code, check("tickets", b"id,title\n").code) == (0, 0)


def test_articles_without_text_and_with_odd_front_matter_or_names_are_told(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "empty.md").write_text("")
    (tmp_path / "blank.md").write_text("\n \n")
    (tmp_path / "headed.md").write_text("---\ntitle: VPN\n---\n\n")
    (tmp_path / "dated.md").write_text("---\nupdated: 2026-13-45\n---\nText\n")
    (tmp_path / "numbered.md").write_text("---\n1: x\ncontent: y\n---\nText\n")
    Path(str(tmp_path) + "/k\udce4se.md").write_text("Text\n")
    Path(str(tmp_path) + "/k\udce4se.p\udce4f").write_text("Text\n")

    done = command("import", "articles", str(tmp_path), "--dry-run", "--json")
    shown = command("import", "articles", str(tmp_path), "--dry-run")

    told = {each["file"]: each["reason"] for each in done.object["rejections"]}
    assert told["empty.md"] == "is empty"
    assert told["blank.md"] == told["headed.md"] == "has no text"
    assert "YAML" in told["dated.md"]
    assert "is not text" in told["k?se.md"]
    assert (done.object["valid"], done.object["unknown_columns"]) == (1, ["1", "content"])
    assert "k?se.md" in shown.out


@pytest.mark.parametrize("source", ["A B", "Jira", "x" * 65])
def test_a_source_that_the_services_refuse_is_refused_by_a_dry_run(check: Any, source: str) -> None:
    done = check("tickets", lines(TICKET), "--source", source)

    assert done.code == 2
    assert "--source" in done.error["message"]
    assert "lower-case letters" in done.error["message"]
    assert check("tickets", lines(TICKET), "--source", "x" * 64).code == 0
