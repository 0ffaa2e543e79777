"""A client's own weights and floors of searches: settings of its, of which those who search keep a copy."""
