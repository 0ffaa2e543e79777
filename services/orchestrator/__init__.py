"""Accepts tickets durably, makes and delivers their briefs, and says how each stands."""
