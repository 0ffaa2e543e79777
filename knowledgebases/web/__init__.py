"""Pages of a web site: those that are named, or that its sitemaps name."""

from knowledgebases.web.connector import Web

__all__ = ["Web"]
