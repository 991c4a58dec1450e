"""Faces of a frame: landmarks, identity, alignment, conditions."""
