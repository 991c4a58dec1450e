"""Colours, text and shapes for pictures, independent of updates."""
