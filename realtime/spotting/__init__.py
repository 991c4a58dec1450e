"""Spotting: from scores over time to events, in seconds."""
