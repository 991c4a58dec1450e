"""HTML pages and pictures about training runs."""
