"""Inference: from windows to scores, with the model file, its device and its thread."""
