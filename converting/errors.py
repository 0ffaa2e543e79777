class Unconvertible(Exception):
    """What is wrong with one document, as a person is told: "has no text: scanned?"."""
