from typing import Final

from prometheus_client import Counter

MENTIONS_SPAN: Final = "network.find_mentions"
LOOKUP_SPAN: Final = "network.look_up"

FINDINGS: Final = Counter(
    "dossier_network_findings", "Mentions answered, by what they turned out to be", ["verdict"]
)
IMPORTED_ROWS: Final = Counter(
    "dossier_network_imported_rows",
    "Rows of inventory imports, by what became of them",
    ["inventory", "outcome"],
)
