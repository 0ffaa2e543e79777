"""Mutual TLS between the services: both sides of a connection show a certificate of the mesh's own CA."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import grpc
import structlog
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from services.runtime.watched import WatchedFiles

SPIFFE: Final = "spiffe://"

_log = structlog.get_logger(__name__)


class CertificatesUnusable(Exception):
    """The text says which file and why; nothing of a key is in it."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """A process's own certificate (PEM, with what stands between it and the CA), its key, and the CA."""

    chain: bytes
    key: bytes
    ca: bytes


@dataclass(frozen=True, slots=True)
class TlsFiles:
    cert: Path
    key: Path
    ca: Path

    def watched(self) -> "WatchedCertificates":
        return WatchedCertificates(self)


class WatchedCertificates:
    """The certificates in files that are replaced when they are renewed.

    Files that cannot be used, such as a pair of which half is replaced, change nothing: those read before
    go on being used.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = WatchedFiles(files.cert, files.key, files.ca)
        self.current = self._read()

    def renewed(self) -> bool:
        """Tell whether `current` is other than it was."""
        if not self._files.changed():
            return False
        try:
            read = self._read()
        except (OSError, CertificatesUnusable) as problem:
            _log.warning("certificates_unusable", cause=str(problem))
            return False
        was, self.current = self.current, read
        return read != was

    def _read(self) -> Certificates:
        chain, key, ca = self._files.read()
        _check(chain, key, ca)
        return Certificates(chain, key, ca)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Demand a certificate of the CA from every client; each new connection meets the files as they are."""
    watched = files.watched()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        return _configuration(watched.current) if watched.renewed() else None

    return grpc.dynamic_ssl_server_credentials(
        _configuration(watched.current),
        renewed,  # type: ignore[arg-type]  # its stub does not know None, which is for no change
        require_client_authentication=True,
    )


def channel_credentials(certificates: Certificates) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(certificates.ca, certificates.key, certificates.chain)


def workloads(auth_context: Mapping[str, Iterable[bytes]]) -> frozenset[str]:
    """Name whom a peer's certificate is for: the last part of its SPIFFE ids, the first of its DNS names.

    `spiffe://example.org/ns/dossier/sa/gateway` and `gateway.dossier.svc` both are the gateway.
    """
    names = (name.decode() for name in auth_context.get("x509_subject_alternative_name", ()))
    return frozenset(
        unquote(name.rpartition("/")[2]) if name.startswith(SPIFFE) else name.partition(".")[0]
        for name in names
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificates.key, certificates.chain)], certificates.ca
    )


def _check(chain: bytes, key: bytes, ca: bytes) -> None:
    """Find what would make gRPC refuse every connection without a reason."""
    try:
        certificate = load_pem_x509_certificates(chain)[0]
        load_pem_x509_certificates(ca)
    except ValueError:
        raise CertificatesUnusable("the certificate or the CA is not a certificate in PEM") from None
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError):
        raise CertificatesUnusable("the key is not a private key in PEM, without a passphrase") from None
    if private.public_key() != certificate.public_key():
        raise CertificatesUnusable("the key is not the certificate's")
