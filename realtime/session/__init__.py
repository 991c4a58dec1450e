"""A session folder: its layout, reading it, its statistics."""
