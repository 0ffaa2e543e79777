"""Runs one instance: starts its processes, restarts what crashes, stops them in order."""
