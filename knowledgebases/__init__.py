"""Clients' own knowledge bases as plug-ins: one contract, one connector a package, found by entry point."""
