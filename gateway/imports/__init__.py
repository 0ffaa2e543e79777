"""Imports over REST: rows as newline-delimited JSON, passed on as they come."""
