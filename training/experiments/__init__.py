"""Grids of many training runs, trained and tested fold by fold."""
