"""Stand-ins for the outside world, over real HTTP: for the demo and the tests, never for a service."""
