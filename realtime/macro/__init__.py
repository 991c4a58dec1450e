"""Macro-expressions of whole faces."""
