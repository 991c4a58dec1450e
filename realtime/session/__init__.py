"""Session folder: its layout, its reader, its statistics."""
