"""Fixtures that several test modules need: pictures and clips with a real face."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from support.paths import SHARED_DATA, TESTS

if TYPE_CHECKING:
    from training.rendering.face_model import FaceModel


SLOW = (
    "training/test_every_dataset_and_network.py",
    "browser",
    "training/experiments",
    "realtime/test_monitor.py",
    "training/test_offline_chain.py",
    "training/models/test_training_loop.py",
    "training/models/test_export.py",
    "test_stream.py",
    "realtime/web/live/test_service.py",
    "realtime/batch/test_runner.py",
    "training/macro",
    "realtime/test_analysis.py",
    "training/simulation",
    "realtime/web/test_serve.py",
    "realtime/parallel",
    "realtime/recording/test_recovery.py",
    "realtime/recording/test_live_recording.py",
    "training/models/test_architectures.py",
    "realtime/web/test_hostile_pages.py",
    "realtime/web/uploads/test_jobs.py",
    "realtime/recording/test_clip_maker.py",
    "training/preparation/test_prepare.py",
    "realtime/reports",
    "realtime/batch/test_macro_scores.py",
    "realtime/faces/test_tracker.py",
    "training/evaluation/test_evaluate.py",
    "training/reports/test_grid_report.py",
)
"""Files and folders whose tests take more than a few seconds together, the slowest first.

They run in this order and before all others, which are `quick`: otherwise one process would be left
alone with the slowest at the end.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = [TESTS / name for name in SLOW]
    if missing := [str(path) for path in slow if not path.exists()]:
        raise pytest.UsageError(f"tests/conftest.py names what is not there: {missing}")

    def rank(item: pytest.Item) -> int:
        ranks = (n for n, path in enumerate(slow) if item.path.is_relative_to(path))
        return next(ranks, len(slow))

    for item in items:
        if rank(item) == len(slow):
            item.add_marker(pytest.mark.quick)
    items.sort(key=rank)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development data that is not part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the development data is looked for at {SHARED_DATA} and is not there")
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
