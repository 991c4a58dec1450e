"""HTML pages about sessions."""
