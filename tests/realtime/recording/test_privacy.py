"""Pictures in which nobody can be recognised."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from realtime.recording.privacy import CELLS, HELD_S, FaceBlur
from realtime.types import Face, Frame, Update
from support.builders import AHEAD, NO_POINTS, NO_TRANSFORM

BOX = (100.0, 80.0, 200.0, 200.0)


def noise(seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (300, 400, 3), np.uint8)


def update(
    t_s: float,
    *boxes: tuple[float, float, float, float],
    image_bgr: npt.NDArray[np.uint8] | None = None,
) -> Update:
    faces = tuple(
        Face(0, number, NO_POINTS, box, NO_TRANSFORM, AHEAD) for number, box in enumerate(boxes)
    )
    return Update(Frame(0, t_s, noise() if image_bgr is None else image_bgr), faces, (), (), {})


def colours(image_bgr: npt.NDArray[np.uint8]) -> int:
    return len(np.unique(image_bgr.reshape(-1, 3), axis=0))


def test_a_face_becomes_few_cells_and_the_rest_stays() -> None:
    before = update(0.0, BOX)
    after = FaceBlur()(before).frame.image_bgr
    left, top, right, bottom = map(int, BOX)
    assert colours(after[top:bottom, left:right]) <= (CELLS + 2) * (CELLS + 3)
    assert np.array_equal(after[:, :60], noise()[:, :60])
    assert np.array_equal(after[260:], noise()[260:])
    assert np.array_equal(before.frame.image_bgr, noise())  # a record is not written to
    # Hair, ears and chin belong to it.
    assert not np.array_equal(after[top - 20 : top], noise()[top - 20 : top])


def test_a_picture_without_a_known_face_is_hidden_wholly() -> None:
    after = FaceBlur()(update(0.0)).frame.image_bgr
    assert colours(after) < 1000
    assert after.shape == (300, 400, 3)


def test_a_face_that_was_lost_a_moment_ago_may_be_anywhere() -> None:
    blur = FaceBlur()
    other = (250.0, 80.0, 350.0, 200.0)
    blur(update(0.0, BOX, other))
    assert colours(blur(update(0.5, BOX)).frame.image_bgr) < 1000
    assert colours(blur(update(0.6 + HELD_S, BOX)).frame.image_bgr) > 10_000


@pytest.mark.parametrize(
    "box",
    [(-90.0, -90.0, 30.0, 30.0), (380.0, 280.0, 500.0, 400.0), (600.0, 600.0, 700.0, 700.0)],
)
def test_faces_that_reach_over_the_edge(box: tuple[float, float, float, float]) -> None:
    assert FaceBlur()(update(0.0, box)).frame.image_bgr.shape == (300, 400, 3)
