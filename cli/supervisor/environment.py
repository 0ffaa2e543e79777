"""The environment of each process: the user's own, and over it what the instance decides."""

import os
from collections.abc import Mapping

from cli.embedded.embedder import EMBEDDING_VARIABLE
from cli.instance import Instance
from cli.migrate.urls import with_user
from cli.ports import SERVICES, WORKLOADS, Ports

DATABASE_VARIABLE = "DOSSIER_DATABASE_URL"
REDIS_VARIABLE = "DOSSIER_REDIS_URL"


def compose(
    instance: Instance,
    *,
    ports: Ports,
    embedded_database_url: str | None,
    redis_url: str,
    embedding_url: str,
    tls: bool,
) -> Mapping[str, str]:
    """Make one environment that serves all: every name in it says whose it is.

    Only the metrics port of each gateway is not in it: they share everything else.

    With a database of the user's own, DOSSIER_DATABASE_URL passes through: each service takes its role on
    that login, unless its own DOSSIER_<SERVICE>_DATABASE_URL says otherwise.
    """
    composed = dict(os.environ)
    composed[REDIS_VARIABLE] = redis_url
    composed[EMBEDDING_VARIABLE] = embedding_url
    composed["DOSSIER_TOKEN_JWKS_FILE"] = str(instance.jwks)
    composed["DOSSIER_TOKEN_SIGNING_KEY_FILE"] = str(instance.signing_key)
    composed["DOSSIER_GATEWAY_HTTP_PORT"] = str(ports.gateway)
    composed["DOSSIER_GATEWAY_REUSE_PORT"] = str(ports.gateways > 1)
    for told in ("gateway", "tenants"):
        # Not under the name for all: a note at a client's tool must not link to localhost.
        composed[f"DOSSIER_{told.upper()}_PUBLIC_URL"] = public_url_of(ports)
    composed.setdefault("DOSSIER_TENANTS_KEY_ENCRYPTION_KEY_FILE", str(instance.key_encryption_key))
    for service in SERVICES:
        prefix = f"DOSSIER_{service.upper()}"
        composed[f"{prefix}_GRPC_PORT"] = str(ports.serving(service))
        composed[f"{prefix}_METRICS_PORT"] = str(ports.metrics(service))
        composed[f"{prefix}_TARGET"] = f"localhost:{ports.serving(service)}"
        if embedded_database_url is not None:
            composed[f"{prefix}_DATABASE_URL"] = with_user(embedded_database_url, f"dossier_{service}")
    for workload in WORKLOADS if tls else ():
        prefix = f"DOSSIER_{workload.upper()}_TLS"
        composed[f"{prefix}_CERT_FILE"] = str(instance.certificate(workload))
        composed[f"{prefix}_KEY_FILE"] = str(instance.certificate_key(workload))
        composed[f"{prefix}_CA_FILE"] = str(instance.ca)
    return composed


def public_url_of(ports: Ports) -> str:
    """The gateway's, since tenants tells new clients where it is."""
    chosen = os.environ.get("DOSSIER_GATEWAY_PUBLIC_URL") or os.environ.get("DOSSIER_PUBLIC_URL")
    return chosen or f"http://localhost:{ports.gateway}"
