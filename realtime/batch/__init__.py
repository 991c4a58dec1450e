"""Analysis of many files."""
