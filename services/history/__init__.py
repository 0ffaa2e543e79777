"""Answers which of a client's past tickets are the same problem, and keeps those tickets."""
