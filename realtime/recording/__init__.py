"""Writing of a session folder."""
