"""A small model in a file."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    from support.onnx_files import make_file  # skips where onnx is not installed

    return make_file(tmp_path / "small.onnx")
