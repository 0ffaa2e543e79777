"""Ticketing tools as plug-ins: one contract, one adapter package per tool, found by entry point."""
