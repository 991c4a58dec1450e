"""Metrics of a model's quality, and the protocols behind them."""
