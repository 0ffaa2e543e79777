"""Answers which passages of a client's knowledge base bear on a ticket, and keeps the articles."""
