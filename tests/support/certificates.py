"""Certificates as files, of an authority that is the tests' own."""

from datetime import datetime
from pathlib import Path

from cli.authority import Authority
from cli.files import replace_file
from services.runtime.tls import TlsFiles


def certify(directory: Path, authority: Authority, *names: str, until: datetime | None = None) -> TlsFiles:
    """Write a certificate, in the place of the one that was there."""
    directory.mkdir(exist_ok=True)
    files = TlsFiles(directory / "tls.crt", directory / "tls.key", directory / "ca.crt")
    issued = authority.issue(names, until=until)
    replace_file(files.ca, issued.ca)
    replace_file(files.key, issued.key)
    replace_file(files.cert, issued.chain)
    return files
