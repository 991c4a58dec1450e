"""The window, the terminal line and the progress bar of a run."""
