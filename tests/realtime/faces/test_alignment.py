"""Alignment: still for a still head, and quick for one that moves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.faces.alignment import StableAlignment
from realtime.faces.tracker import FaceTracker
from realtime.spec import FACE_SIZE
from realtime.types import Frame
from support.meshes import EYE_CORNERS, EYE_CORNERS_ALIGNED, FLOAT_XY, RATES_HZ, aligned

HEAD = np.zeros((468, 2))
HEAD[[33, 263, 133, 362, 168, 6, 2]] = [
    *([24, 38], [104, 38], [48.5, 39.5], [79.5, 39.5]),
    *([64, 36], [64, 43], [64, 79.5]),
]


def head_at(x: float, y: float, scale: float = 1.5, roll_deg: float = 0.0) -> FLOAT_XY:
    """Mesh points of a head with average proportions whose eyes' middle is at (x, y)."""
    c, s = scale * math.cos(math.radians(roll_deg)), scale * math.sin(math.radians(roll_deg))
    placed: FLOAT_XY = (HEAD - [64, 38]) @ np.array([[c, s], [-s, c]]) + [x, y]
    return placed


def scattered(rng: np.random.Generator, points_xy: FLOAT_XY, px: float) -> npt.NDArray[np.float32]:
    return (points_xy + rng.normal(0, px, points_xy.shape)).astype(np.float32)


def off_by(transform: npt.NDArray[np.float32], points_xy: FLOAT_XY) -> float:
    """Distance of the true eye corners from their place on the aligned face, in pixels."""
    found = points_xy[EYE_CORNERS] @ transform[:, :2].T + transform[:, 2]
    return float(np.hypot(*(found - EYE_CORNERS_ALIGNED).T).max())


@given(
    st.floats(-500, 3000),
    st.floats(-500, 3000),
    st.floats(0.2, 8),
    st.floats(-180, 180),
    st.floats(5, 240),
)
def test_a_still_head_is_held_exactly(
    x: float, y: float, scale: float, roll_deg: float, rate_hz: float
) -> None:
    points = head_at(x, y, scale, roll_deg)
    alignment = StableAlignment()
    first = alignment(0.0, points.astype(np.float32))
    assert off_by(first, points) < 0.05
    for i in range(1, 20):
        transform = alignment(i / rate_hz, points.astype(np.float32))
    assert off_by(transform, points) < 0.05
    assert transform.shape == (2, 3)
    assert transform.dtype == np.float32


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_landmark_scatter_does_not_move_the_crop(rate_hz: float) -> None:
    alignment = StableAlignment()
    rng = np.random.default_rng(1)
    points = head_at(320, 240)
    transforms = [
        alignment(i / rate_hz, scattered(rng, points, 0.3)) for i in range(int(4 * rate_hz))
    ]
    settled = transforms[int(rate_hz) :]
    assert all(np.array_equal(transform, settled[0]) for transform in settled)
    assert off_by(settled[0], points) < 1


MOVES = {
    "shift": {"x": 360.0, "y": 240.0},
    "roll": {"x": 320.0, "y": 240.0, "roll_deg": 15.0},
    "approach": {"x": 320.0, "y": 240.0, "scale": 1.8},
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_moved_head_is_found_again_without_overshoot(move: str, rate_hz: float) -> None:
    alignment = StableAlignment()
    for i in range(int(rate_hz)):
        alignment(i / rate_hz, head_at(320, 240).astype(np.float32))
    after = head_at(**MOVES[move])
    errors = [
        off_by(alignment(1 + i / rate_hz, after.astype(np.float32)), after)
        for i in range(int(rate_hz))
    ]
    assert errors[int(0.5 * rate_hz)] < 2
    assert (np.diff(errors) <= 1e-3).all(), "the crop went away from the head"
    assert errors[-1] == errors[-2], "the crop is held again"


@pytest.mark.parametrize("speed_px_s", [5, 60, 300])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_moving_head_is_followed_smoothly(speed_px_s: float, rate_hz: float) -> None:
    alignment = StableAlignment()
    rng = np.random.default_rng(2)
    transforms = []
    for i in range(int(3 * rate_hz)):
        t_s = i / rate_hz
        points = head_at(100 + speed_px_s * min(max(t_s - 1, 0), 1), 240)
        transforms.append(alignment(t_s, scattered(rng, points, 0.2)))
        assert off_by(transforms[-1], points) < 4
    assert np.array_equal(transforms[-1], transforms[-2]), "the head is still again"
    # In aligned pixels, the crop's own path has no step beyond the head's and a part of the band.
    places = np.array([transform[0] @ [100, 240, 1] for transform in transforms])
    assert np.abs(np.diff(places)).max() < speed_px_s / 1.5 / rate_hz + 1.5


def test_a_slow_drift_is_held_and_moved_in_turns() -> None:
    alignment = StableAlignment()
    points = [head_at(320 + 1.0 * i / 30, 240) for i in range(300)]
    transforms = [alignment(i / 30, p.astype(np.float32)) for i, p in enumerate(points)]
    held = [np.array_equal(a, b) for a, b in itertools.pairwise(transforms)]
    runs = [(is_held, len(list(run))) for is_held, run in itertools.groupby(held)]
    assert sum(length for is_held, length in runs if is_held) > 200
    assert all(length >= 6 for _, length in runs[:-1]), "short stops and steps look like tremor"
    assert max(off_by(t, p) for t, p in zip(transforms, points, strict=True)) < 2


def test_an_expression_does_not_move_the_crop() -> None:
    alignment = StableAlignment()
    rng = np.random.default_rng(3)
    rigid = set(np.flatnonzero(HEAD.any(axis=1)))
    free = [i for i in range(468) if i not in rigid]
    points = head_at(320, 240)
    transforms = []
    for i in range(60):
        moved = points.copy()
        moved[free] += rng.normal(0, 10, (len(free), 2))
        transforms.append(alignment(i / 30, moved.astype(np.float32)))
    assert np.array_equal(transforms[0], transforms[-1])


def test_time_that_runs_backwards_aligns_anew() -> None:
    alignment = StableAlignment()
    for i in range(30):
        alignment(i / 30, head_at(320, 240).astype(np.float32))
    elsewhere = head_at(500, 300)
    assert off_by(alignment(0.0, elsewhere.astype(np.float32)), elsewhere) < 0.05


def crop(image_bgr: npt.NDArray[np.uint8], transform: npt.NDArray[np.float32]) -> FLOAT_XY:
    gray = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    return cv2.warpAffine(gray, transform, (FACE_SIZE, FACE_SIZE)).astype(np.float64)


@pytest.mark.parametrize("sigma", [2, 4, 8])
def test_the_crop_of_a_still_picture_shows_its_noise_and_no_more(
    start_tracker: Callable[[], FaceTracker], astronaut_bgr: npt.NDArray[np.uint8], sigma: float
) -> None:
    tracker = start_tracker()
    rng = np.random.default_rng(4)
    images = [
        np.clip(astronaut_bgr + rng.normal(0, sigma, astronaut_bgr.shape), 0, 255).astype(np.uint8)
        for _ in range(60)
    ]
    transforms = [tracker(Frame(i, i / 30, image))[0].transform for i, image in enumerate(images)]

    def restlessness(used: list[npt.NDArray[np.float32]]) -> float:
        crops = [crop(image, transform) for image, transform in zip(images, used, strict=True)]
        return float(np.mean([np.abs(a - b).mean() for a, b in itertools.pairwise(crops)]))

    assert restlessness(transforms) < 1.05 * restlessness([transforms[-1]] * len(images))


REAL_MOVES = {
    "shift": np.array([[1, 0, 40], [0, 1, 0]], np.float64),
    "roll": cv2.getRotationMatrix2D((225, 110), 15, 1),
    "approach": cv2.getRotationMatrix2D((225, 110), 0, 1.2),
}


@pytest.mark.parametrize("move", REAL_MOVES)
def test_a_real_face_is_found_again_after_a_move(
    start_tracker: Callable[[], FaceTracker], astronaut_bgr: npt.NDArray[np.uint8], move: str
) -> None:
    tracker = start_tracker()
    for i in range(30):
        (before,) = tracker(Frame(i, i / 30, astronaut_bgr))
    assert np.abs(aligned(before, EYE_CORNERS) - EYE_CORNERS_ALIGNED).max() < 2
    matrix = REAL_MOVES[move]
    moved_bgr = cv2.warpAffine(astronaut_bgr, matrix, (512, 512)).astype(np.uint8)
    true_xy = before.points_xy[EYE_CORNERS] @ matrix[:, :2].T + matrix[:, 2]
    for i in range(30, 45):
        (after,) = tracker(Frame(i, i / 30, moved_bgr))
    assert after.face_id == before.face_id
    found = true_xy @ after.transform[:, :2].T + after.transform[:, 2]
    assert np.hypot(*(found - EYE_CORNERS_ALIGNED).T).max() < 2.5


def test_a_real_face_on_the_move_stays_in_its_crop(
    start_tracker: Callable[[], FaceTracker], astronaut_bgr: npt.NDArray[np.uint8]
) -> None:
    tracker = start_tracker()
    for i in range(30):
        (before,) = tracker(Frame(i, i / 30, astronaut_bgr))
    for i in range(30, 75):
        shift = 60 * (i - 29) / 30
        matrix = np.array([[1, 0, shift], [0, 1, shift / 3]])
        moved_bgr = cv2.warpAffine(astronaut_bgr, matrix, (512, 512)).astype(np.uint8)
        (face,) = tracker(Frame(i, i / 30, moved_bgr))
        true_xy = before.points_xy[EYE_CORNERS] + [shift, shift / 3]
        found = true_xy @ face.transform[:, :2].T + face.transform[:, 2]
        assert np.hypot(*(found - EYE_CORNERS_ALIGNED).T).max() < 4
