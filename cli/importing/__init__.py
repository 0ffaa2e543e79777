"""Imports: any of the formats in, rows of the contracts out, and every row that does not fit told."""
