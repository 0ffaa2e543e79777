"""Lexical ranking, pure: what a text's words weigh and how like a query a document is. No I/O."""
