"""From windows to scores: the model file, its device and its thread."""
