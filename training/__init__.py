"""Training, evaluation and simulation: all that is needed to make a model for Kilas."""
