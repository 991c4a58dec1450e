"""Sources of frames: cameras, files and network streams."""
