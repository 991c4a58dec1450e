"""Labelled expressions, and the tables in which Kilas keeps them."""
