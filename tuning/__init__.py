"""Settings of clients that services keep a copy of: weights and floors of searches, knowledge bases."""
