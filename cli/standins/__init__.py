"""Stand-ins for the outside world: the demo's and the tests' counterparts, over real HTTP, never in a service."""
