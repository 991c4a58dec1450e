"""Colours, text and shapes for pictures; nothing here knows an update."""
