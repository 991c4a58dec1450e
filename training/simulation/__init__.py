"""Acting of simulated people, and the truth about it."""
