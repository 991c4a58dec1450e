"""Display of a run: a window, a line in the terminal, or a progress bar."""
