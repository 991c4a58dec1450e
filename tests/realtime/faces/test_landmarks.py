"""The 68-point view of a mesh."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from realtime.faces.landmarks import VIEW_68, view_68
from realtime.faces.tracker import FaceTracker
from realtime.types import Frame


def test_view_68_has_the_order_of_ibug(astronaut_bgr: npt.NDArray[np.uint8]) -> None:
    with FaceTracker() as tracker:
        (face,) = tracker(Frame(0, 0.0, astronaut_bgr))
    points = view_68(face.points_xy)
    assert points.shape == (68, 2)
    assert len(set(VIEW_68)) == 68
    jaw, brows, bridge, nostrils = points[:17], points[17:27], points[27:31], points[31:36]
    left_eye, right_eye, outer, inner = points[36:42], points[42:48], points[48:60], points[60:68]
    assert (np.diff(jaw[:, 0])[2:-2] > 0).all()
    assert jaw[:, 1].argmax() == 8
    assert (np.diff(brows[:, 0]) > 0).all()
    assert (np.diff(bridge[:, 1]) > 0).all()
    assert (np.diff(nostrils[:, 0]) > 0).all()
    # Eyes and lips run clockwise on the screen from their left corner.
    for ring in (left_eye, right_eye, outer, inner):
        following = np.roll(ring, -1, axis=0)
        area = (ring[:, 0] * following[:, 1] - following[:, 0] * ring[:, 1]).sum() / 2
        assert area > 0
        assert ring[:, 0].argmin() == 0
        assert ring[:, 0].argmax() == len(ring) // 2
    assert brows[:, 1].max() < left_eye[:, 1].min()
    assert left_eye[:, 0].max() < bridge[:, 0].min() < right_eye[:, 0].min()
    assert nostrils[:, 1].max() < outer[:, 1].min()
    lips = outer.astype(np.float32).reshape(-1, 1, 2)
    assert all(cv2.pointPolygonTest(lips, (float(x), float(y)), False) > 0 for x, y in inner)


def test_view_68_refuses_other_meshes() -> None:
    with pytest.raises(ValueError, match=r"expected points_xy as \[478, 2\], found \[468, 2\]"):
        view_68(np.zeros((468, 2), np.float32))
