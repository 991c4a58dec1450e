"""Fixtures of tests that train."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def without_graphs() -> Iterator[None]:
    """One epoch of a few batches takes less time than TensorFlow's graph of it."""
    tf = pytest.importorskip("tensorflow", reason="the training extra is not installed")
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
