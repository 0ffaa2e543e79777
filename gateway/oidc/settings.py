"""The part of the gateway's settings that is about the identity provider."""

from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from gateway.oidc.grants import Grant, parse_grants

# What a signature can be checked by without being able to make it: a shared secret is not among them.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def listed(value: object) -> object:
    return [each.strip() for each in value.split(",")] if isinstance(value, str) else value


def is_confidential(url: str) -> bool:
    """Whether nobody between can change what is read there."""
    try:
        parts = urlsplit(url)
        if parts.scheme != "http":
            return parts.scheme == "https" and bool(parts.hostname)
        return parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _issuer(url: str) -> str:
    if not is_confidential(url) or urlsplit(url).query or urlsplit(url).fragment:
        raise ValueError("must begin https:// and have no query; http:// is for loopback only")
    return url


class OidcSettings(BaseModel):
    """Mixed into the gateway's; `oidc_issuer` turns all of it on."""

    oidc_issuer: Annotated[str, AfterValidator(_issuer)] | None = None
    """The identity provider, exactly as its tokens name it in `iss`."""
    oidc_audience: str = ""
    """What tokens for us carry in `aud`: an API or client id at the provider."""
    oidc_authorized_parties: Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)] = ()
    """Clients at the provider whose tokens (`azp`) are taken, with commas between; without them, the
    audience itself."""
    oidc_algorithms: Annotated[
        tuple[Algorithm, ...], NoDecode, BeforeValidator(listed), Field(min_length=1)
    ] = ("RS256", "ES256")
    """The signatures that are accepted, with commas between."""
    oidc_groups_claim: str = Field(default="groups", min_length=1)
    """The claim that lists groups: its name, or its path as in `realm_access.roles`."""
    oidc_roles: dict[str, Annotated[tuple[Grant, ...], BeforeValidator(parse_grants)]] = {}
    """What groups may, as JSON: `{"msp-staff": "operator", "north": "acme:technician, globex:viewer"}`."""
    oidc_keys_seconds: float = Field(default=300, ge=1)
    """How often the provider's keys are read again."""
    oidc_refetch_seconds: float = Field(default=10, gt=0)
    """How soon at the earliest, for a token that names a key we do not know or after a failure."""

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        missing = [name for name in ("audience", "roles") if not getattr(self, f"oidc_{name}")]
        if self.oidc_issuer is not None and missing:
            name = f"DOSSIER_GATEWAY_OIDC_{missing[0].upper()}"
            raise ValueError(f"{name}: is required with DOSSIER_GATEWAY_OIDC_ISSUER")
        return self
