"""Keeps the clients: how their tools are reached, their secrets and their keys."""
