"""How good retrieval is, on judged queries."""
