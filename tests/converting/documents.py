"""Small documents, made by the libraries that people's programs are made of."""

import io
import zipfile
from collections.abc import Mapping

import docx
from fpdf import FPDF
from fpdf.enums import AccessPermission

LONG = "The tunnel goes down after one hour exactly, on all clients of the site, until the lifetimes agree."


def pdf(*, pages: int = 1, title: str = "", password: str = "") -> bytes:
    file = FPDF()
    if title:
        file.set_title(title)
    if password:
        file.set_encryption(
            owner_password="owner", user_password=password, permissions=AccessPermission.all()
        )
    for _ in range(pages):
        file.add_page()
        for size, text in (
            (22, "VPN drops every hour"),
            (15, "What is seen"),
            (11, f"{LONG}\n\n{LONG}"),
            (15, "What helps"),
            (11, "1. Open the console.\n2. Set both to 28,800 s.\n\n# not a heading"),
        ):
            file.set_font("helvetica", size=size)
            file.multi_cell(0, text=text, new_x="LMARGIN", new_y="NEXT")
    return bytes(file.output())


def scanned_pdf() -> bytes:
    """Of what a scanner saw there are pictures, here a line, and no letters."""
    file = FPDF()
    file.add_page()
    file.line(10, 10, 100, 100)
    return bytes(file.output())


def word() -> bytes:
    document = docx.Document()
    document.add_heading("Scan to mail fails", 0)
    document.add_heading("Cause", 1)
    document.add_paragraph("Basic authentication is off.")
    document.add_paragraph("Since March", style="List Bullet")
    table = document.add_table(2, 2)
    for row, column, text in ((0, 0, "Model"), (0, 1, "Port"), (1, 0, "MX-3"), (1, 1, "587")):
        table.cell(row, column).text = text
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def word_with(parts: Mapping[str, bytes]) -> bytes:
    """The same document, with these parts in place of its own or beside them."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(word())) as whole,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as changed,
    ):
        for name in whole.namelist():
            if name not in parts:
                changed.writestr(name, whole.read(name))
        for name, content in parts.items():
            changed.writestr(name, content)
    return file.getvalue()
