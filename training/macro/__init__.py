"""Macro-expressions of still pictures: data, networks, training, model files, evaluation."""
