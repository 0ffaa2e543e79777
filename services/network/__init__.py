"""Answers what the addresses, hosts and MACs in a text are in a client's network."""
