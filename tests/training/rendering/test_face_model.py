"""The face model's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime.errors import SourceError
from training.rendering.face_model import load_face_model


def test_a_file_that_is_no_face_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    np.savez(path, neutral=np.zeros((3, 3)))
    with pytest.raises(SourceError, match="not a face model"):
        load_face_model(path)
