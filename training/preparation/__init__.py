"""Conversion of videos to sequences of aligned faces, by the live path's own stages."""
