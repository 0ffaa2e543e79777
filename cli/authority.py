"""A certificate authority for one start of a local mesh: it signs, and its key is thrown away."""

import getpass
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cli.files import replace_file
from cli.instance import COMMAND, Instance
from cli.ports import WORKLOADS
from services.runtime.tls import SPIFFE, Certificates

_TRUST_DOMAIN: Final = "dossier.local"
_LOCAL_NAMES: Final = ("localhost", "127.0.0.1")
_LIFETIME: Final = timedelta(days=397)
# Clocks differ.
_BEFORE: Final = timedelta(minutes=5)
_USES: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass(frozen=True, slots=True)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def made(cls) -> Self:
        key = _new_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Dossier, one local mesh")])
        builder = _builder(name, issuer=name, key=key, until=datetime.now(UTC) + _LIFETIME)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(builder.sign(key, SHA256()), key)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(self, names: Sequence[str], *, until: datetime | None = None) -> Certificates:
        """Certify a key made for it, for these host names, addresses and SPIFFE ids."""
        key = _new_key()
        builder = _builder(
            x509.Name([]),
            issuer=self.certificate.subject,
            key=key,
            until=until or datetime.now(UTC) + _LIFETIME,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_USES, critical=False)
        # Critical, for there is no other name in it.
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        builder = builder.add_extension(alternatives, critical=True)
        return Certificates(
            builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            self.pem,
        )


def issue_certificates(instance: Instance) -> None:
    """Write the CA, and a certificate for every process of the instance and for the command."""
    instance.certificates.mkdir(mode=0o700, exist_ok=True)
    authority = Authority.made()
    replace_file(instance.ca, authority.pem)
    for workload in WORKLOADS:
        _write(instance, workload, authority.issue([_spiffe_id(workload), *_LOCAL_NAMES]))
    _write(instance, COMMAND, authority.issue([_spiffe_id(getpass.getuser())]))


def _write(instance: Instance, holder: str, issued: Certificates) -> None:
    replace_file(instance.certificate_key(holder), issued.key)
    replace_file(instance.certificate(holder), issued.chain)


def _spiffe_id(workload: str) -> str:
    return f"{SPIFFE}{_TRUST_DOMAIN}/{quote(workload, safe='')}"


def _builder(
    subject: x509.Name, *, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(datetime.now(UTC), until) - _BEFORE)
        .not_valid_after(until)
    )


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _general(name: str) -> x509.GeneralName:
    if name.startswith(SPIFFE):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
