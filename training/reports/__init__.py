"""Reports on prepared data, training runs and evaluations: HTML pages and pictures."""
