"""Measures of how well a model does, and the protocols behind them."""
