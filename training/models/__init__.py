"""Networks, their training and their model files."""
