"""Documents as people keep them, HTML, PDF and Word, turned into Markdown with their headings."""
