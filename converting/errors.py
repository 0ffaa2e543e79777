class Unconvertible(Exception):
    """What is wrong with one document, as a person is told: "has no text: scanned?"."""


class ConverterBroken(Exception):
    """The converter does not work, whatever the document is like."""
