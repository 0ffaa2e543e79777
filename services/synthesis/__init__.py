"""Writes a ticket's brief from the evidence it is given, verifies every claim, and keeps what it cost."""
