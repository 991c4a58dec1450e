"""Grids of many training runs."""
