"""Labelled expressions, and Kilas's own tables of them."""
