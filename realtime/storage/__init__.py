"""Files that stay whole whatever ends the program."""
