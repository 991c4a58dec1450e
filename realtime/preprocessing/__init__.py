"""Preprocessing: from aligned faces to the windows that the network reads."""
