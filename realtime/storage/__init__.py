"""Storage: files that stay whole whatever ends the program."""
