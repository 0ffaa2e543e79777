"""The sample client, its stand-in ticketing tool, and the story that the demo tells with them."""
