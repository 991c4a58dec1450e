"""Macro-expressions of whole faces: the model, its face crops, and its scores over time."""
