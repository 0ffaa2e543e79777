"""Texts as vectors: what means the same lies close. One interface, and what implements it."""
