"""Fixtures that several test modules need: pictures and clips with a real face."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from support.paths import SHARED_DATA

if TYPE_CHECKING:
    from training.rendering.face_model import FaceModel


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development data that is not part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the development data is not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def face_model(shared_data: Path) -> Path:
    """The file of the face model."""
    return shared_data / "ict_facekit.npz"


@pytest.fixture(scope="session")
def model(face_model: Path) -> FaceModel:
    """The face model of simulated people."""
    from training.rendering.face_model import (
        load_face_model,  # compiles; tests of the monitor need not
    )

    return load_face_model(face_model)


@pytest.fixture(scope="session")
def astronaut_bgr() -> npt.NDArray[np.uint8]:
    """uint8 [512, 512, 3]: a photograph with one face (NASA, public domain)."""
    skimage_data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(skimage_data.astronaut()[:, :, ::-1])
