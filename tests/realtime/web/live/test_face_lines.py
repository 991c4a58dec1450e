"""The lines that the page draws of a face."""

from __future__ import annotations

import numpy as np

from realtime.drawing.heat_map import heat_map
from realtime.inference.model import Model
from realtime.types import Face
from realtime.web.live.face_lines import draw_face
from support.builders import AHEAD

SPEC = Model.load().spec


def make_face() -> Face:
    """Mesh point n is at (n, 1000 + n); the picture is twice the aligned face, 10 px further."""
    numbers = np.arange(478, dtype=np.float32)
    points_xy = np.stack((numbers, 1000.04 + numbers), axis=1).astype(np.float32)
    transform = np.array([(0.5, 0, -5), (0, 0.5, -5)], np.float32)
    return Face(0, 7, points_xy, (1.26, 2.0, 3.0, 4.0), transform, AHEAD)


def test_lines_follow_the_mesh_in_tenths_of_pixels() -> None:
    drawn = draw_face(SPEC, make_face(), "neutral", None)
    assert (drawn["id"], drawn["state"], drawn["heat"]) == (7, "neutral", None)
    assert drawn["box"] == [1.3, 2.0, 3.0, 4.0]
    oval, *brows_eyes_lips = drawn["lines"]
    assert oval[:4] == [10.0, 1010.0, 109.0, 1109.0]
    assert oval[-2:] == oval[:2]  # closed
    assert len(brows_eyes_lips) == 8
    left_eye, right_eye, outer_lips, inner_lips = brows_eyes_lips[4:]
    for line, corner in ((left_eye, 33), (right_eye, 263), (outer_lips, 61), (inner_lips, 78)):
        assert line[0] == line[-2] == corner


def test_regions_are_where_the_network_looks() -> None:
    drawn = draw_face(SPEC, make_face(), "neutral", None)
    # The first region is (0, 2) to (64, 66) on the aligned face.
    assert drawn["regions"][0] == [10.0, 14.0, 138.0, 14.0, 138.0, 142.0, 10.0, 142.0]
    assert len(drawn["regions"]) == 3


def test_the_heat_map_reaches_from_least_to_most_over_all_regions() -> None:
    attention = np.zeros((3, 2, 2, 2), np.float32)
    attention[0] = 0.25  # mean over time, one level over the region
    attention[2, :, 1, 1] = (0.0, 1.0)
    heat = heat_map(attention)
    assert heat.dtype == np.uint8
    assert heat[0].tolist() == [[127, 127], [127, 127]]
    assert (heat[1].max(), heat[2, 1, 1]) == (0, 255)
    assert not np.any(heat_map(np.full((1, 1, 2, 2), 0.3, np.float32)))  # looked everywhere alike
