"""The tracker of faces as a whole."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from realtime.faces.face_landmarker import _absent
from realtime.faces.tracker import FaceTracker
from realtime.types import Frame
from support.meshes import EYE_CORNERS, EYE_CORNERS_ALIGNED, aligned
from support.paths import ROOT


def test_a_face_is_found_where_it_is(astronaut_bgr: npt.NDArray[np.uint8]) -> None:
    with FaceTracker(max_faces=2) as tracker:
        (face,) = tracker(Frame(7, 1.5, astronaut_bgr))
    assert (face.frame_id, face.face_id) == (7, 0)
    assert face.points_xy.shape == (478, 2)
    assert face.points_xy.dtype == np.float32
    assert face.transform.shape == (2, 3)
    assert face.transform.dtype == np.float32
    left, top, right, bottom = face.box_xyxy
    assert (left, top) == tuple(face.points_xy.min(axis=0))
    assert (right, bottom) == tuple(face.points_xy.max(axis=0))
    # The woman's eyes, read off the picture.
    assert np.allclose(face.points_xy[EYE_CORNERS], [[195, 102], [257, 104]], atol=5)
    (a, b, _), (c, d, _) = face.transform
    assert (a, b) == (d, -c), "not a similarity"
    assert np.abs(aligned(face, EYE_CORNERS) - EYE_CORNERS_ALIGNED).max() < 2


def test_no_face_gives_an_empty_tuple(start_tracker: Callable[[], FaceTracker]) -> None:
    tracker = start_tracker()
    for size in ((120, 160), (1, 1), (2, 3), (500, 20)):
        assert tracker(Frame(0, 0.0, np.zeros((*size, 3), np.uint8))) == ()


def test_frames_of_any_size_and_layout_are_taken(
    start_tracker: Callable[[], FaceTracker], astronaut_bgr: npt.NDArray[np.uint8]
) -> None:
    tracker = start_tracker()
    head = astronaut_bgr[:256, 96:352]
    read_only = head.copy()
    read_only.flags.writeable = False
    portrait = astronaut_bgr[:400, 100:340]
    for i, image_bgr in enumerate((astronaut_bgr, head, read_only, portrait, head[:, ::-1])):
        for repeat in range(4):
            (face,) = tracker(Frame(4 * i + repeat, i + repeat / 30, image_bgr))
        assert np.abs(aligned(face, EYE_CORNERS) - EYE_CORNERS_ALIGNED).max() < 2.5


def test_a_frame_that_is_not_a_picture_is_an_error(
    start_tracker: Callable[[], FaceTracker],
) -> None:
    tracker = start_tracker()
    for image, found in (
        (np.zeros((20, 20), np.uint8), r"uint8 \[20, 20\]"),
        (np.zeros((20, 20, 4), np.uint8), r"uint8 \[20, 20, 4\]"),
        (np.zeros((20, 20, 3), np.uint16), r"uint16 \[20, 20, 3\]"),
    ):
        with pytest.raises(ValueError, match=f"expected image_bgr as uint8 .*, found {found}"):
            tracker(Frame(0, 0.0, image))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_faces"):
        FaceTracker(max_faces=0)


def test_two_people_have_two_identities(astronaut_bgr: npt.NDArray[np.uint8]) -> None:
    head = astronaut_bgr[:256, 96:352]
    pair = np.hstack([head, head[:, ::-1]])
    with FaceTracker(max_faces=2) as tracker:
        for i in range(5):
            faces = tracker(Frame(i, i / 30, pair))
    assert [face.face_id for face in faces] == [0, 1]


def test_two_people_who_cross_keep_their_identity(astronaut_bgr: npt.NDArray[np.uint8]) -> None:
    """A brighter and a darker head change sides; on the way one covers the other."""
    bright = astronaut_bgr[20:190, 140:310]
    dark = cv2.convertScaleAbs(bright[:, ::-1], alpha=0.7)
    oval = np.zeros((170, 170, 1), np.float32)
    cv2.ellipse(oval, (85, 90), (62, 82), 0, 0, 360, (1.0,), -1)
    with FaceTracker(max_faces=2) as tracker:
        sides = []
        for i in range(48):
            scene = np.full((480, 640, 3), 120, np.uint8)
            places = {"dark": 430 - 250 * i // 30, "bright": 30 + 250 * i // 30}
            for head, name in ((dark, "dark"), (bright, "bright")):
                spot = scene[150:320, places[name] : places[name] + 170]
                spot[:] = head * oval + spot * (1 - oval)
            faces = tracker(Frame(i, i / 30, scene))
            centres = {face.face_id: face.points_xy[:, 0].mean() for face in faces}
            sides.append(
                {
                    face_id: min(places, key=lambda name: abs(places[name] + 85 - x))
                    for face_id, x in centres.items()
                }
            )
    assert set(sides[5].values()) == {"bright", "dark"}
    assert sides[-1] == sides[5]


def test_loading_mediapipe_leaves_tensorflow_alone(tmp_path: Path) -> None:
    """Stand-ins tell of being imported; they can be imported once the tracker is there."""
    for package in ("tensorflow", "jax"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f"print('{package} imported')\n")
    program = """
import sys
import realtime.faces.tracker
assert "mediapipe" not in sys.modules
finders = list(sys.meta_path)
realtime.faces.tracker.FaceTracker().close()
assert "mediapipe" in sys.modules
assert [finder for finder in sys.meta_path if finder in finders] == finders
assert not any(type(finder).__name__ == "_Absent" for finder in sys.meta_path)
print("loaded")
import tensorflow
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:2] == ["loaded", "tensorflow imported"]


def test_packages_are_absent_for_one_thread_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kilas_stand_in.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    elsewhere: list[str] = []

    def import_elsewhere() -> None:
        elsewhere.append(importlib.import_module("kilas_stand_in").__name__)
        del sys.modules["kilas_stand_in"]

    with _absent("kilas_stand_in"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("kilas_stand_in")
        thread = threading.Thread(target=import_elsewhere)
        thread.start()
        thread.join(timeout=10)
    assert elsewhere == ["kilas_stand_in"]
    import_elsewhere()
    assert elsewhere == ["kilas_stand_in"] * 2
