from typing import Final

from prometheus_client import Counter

AUTHENTICATIONS: Final = Counter(
    "dossier_tenants_api_key_authentications", "API keys presented, by whether they were good", ["outcome"]
)
CONNECTION_TESTS: Final = Counter(
    "dossier_tenants_connection_tests", "Tests of connections to ticketing tools", ["verdict"]
)
KMS_CALLS: Final = Counter(
    "dossier_tenants_kms_calls", "Calls of the key management service", ["operation", "outcome"]
)
