"""Atlassian Confluence, its REST API and CQL: Cloud and Data Center."""

from knowledgebases.confluence.connector import Confluence

__all__ = ["Confluence"]
