"""Macro-expressions of whole faces: the model, the face as it needs it, and its scores over
time."""
