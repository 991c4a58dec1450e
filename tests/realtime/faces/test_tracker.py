"""Faces are found, keep their identity, and are cut out without trembling."""

from __future__ import annotations

import importlib
import itertools
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.faces.alignment import StableAlignment
from realtime.faces.detector import FaceDetector, _windows
from realtime.faces.face_mesh import _absent
from realtime.faces.identity import FORGET_S, IdentityTracker, _assign
from realtime.faces.landmarks import VIEW_68, view_68
from realtime.faces.tracker import FaceTracker
from realtime.spec import FACE_SIZE
from realtime.types import Face, Frame
from support.paths import ROOT

EYE_CORNERS = [33, 263]
EYE_CORNERS_ALIGNED = np.array([[24.0, 38.0], [104.0, 38.0]])
FLOAT_XY = npt.NDArray[np.float64]


# ---------------------------------------------------------------- the 68-point view


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
    with pytest.raises(ValueError, match=r"expected points_xy as \[468, 2\], found \[478, 2\]"):
        view_68(np.zeros((478, 2), np.float32))


# ---------------------------------------------------------------- the tracker as a whole


@pytest.fixture(scope="module")
def start_tracker() -> Iterator[Callable[[], FaceTracker]]:
    trackers: list[FaceTracker] = []

    def start() -> FaceTracker:
        trackers.append(FaceTracker())
        return trackers[-1]

    yield start
    for tracker in trackers:
        tracker.close()


def test_a_face_is_found_where_it_is(astronaut_bgr: npt.NDArray[np.uint8]) -> None:
    with FaceTracker(max_faces=2) as tracker:
        (face,) = tracker(Frame(7, 1.5, astronaut_bgr))
    assert (face.frame_id, face.face_id) == (7, 0)
    assert face.points_xy.shape == (468, 2)
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


# ---------------------------------------------------------------- single pictures


@pytest.fixture(scope="module")
def finder() -> Iterator[FaceDetector]:
    with FaceDetector(max_faces=1) as finder:
        yield finder


def test_a_picture_is_seen_as_the_first_of_a_stream(
    finder: FaceDetector, astronaut_bgr: npt.NDArray[np.uint8]
) -> None:
    with FaceTracker() as tracker:
        (first,) = tracker(Frame(0, 0.0, astronaut_bgr))
    (face,) = finder(astronaut_bgr)
    np.testing.assert_array_equal(face.points_xy, first.points_xy)
    np.testing.assert_array_equal(face.transform, first.transform)
    assert (face.frame_id, face.face_id) == (0, 0)


def test_what_is_found_in_a_picture_does_not_depend_on_those_before(
    finder: FaceDetector, astronaut_bgr: npt.NDArray[np.uint8]
) -> None:
    (alone,) = finder(astronaut_bgr)
    # What a tracker would take for the same head, a little later.
    near = np.roll(astronaut_bgr, (3, 5), axis=(0, 1))
    for before in (near, np.zeros_like(near), near[:300, :250]):
        finder(np.ascontiguousarray(before))
        (face,) = finder(astronaut_bgr)
        np.testing.assert_array_equal(face.points_xy, alone.points_xy)
        np.testing.assert_array_equal(face.transform, alone.transform)
    finder(np.zeros((50, 50, 3), np.uint8))
    assert finder(np.zeros_like(near)) == ()


def test_a_face_is_found_where_it_fills_the_picture_and_where_it_is_small(
    finder: FaceDetector, astronaut_bgr: npt.NDArray[np.uint8]
) -> None:
    (known,) = finder(astronaut_bgr)
    left, top, right, bottom = map(round, known.box_xyxy)
    tight = np.ascontiguousarray(astronaut_bgr[top - 2 : bottom + 2, left - 2 : right + 2])
    (face,) = finder(tight)
    np.testing.assert_allclose(
        face.points_xy + np.array([left - 2, top - 2]), known.points_xy, atol=6
    )
    wide = np.full((1200, 2000, 3), 90, np.uint8)
    wide[500:1012, 1300:1812] = astronaut_bgr
    (face,) = finder(wide)
    np.testing.assert_allclose(face.points_xy, known.points_xy + np.array([1300, 500]), atol=6)


def test_the_largest_of_several_faces_comes_first(astronaut_bgr: npt.NDArray[np.uint8]) -> None:
    head = astronaut_bgr[10:250, 105:345]
    row = np.full((300, 1200, 3), 150, np.uint8)
    for left, side in ((40, 160), (330, 240), (700, 200), (1000, 120)):
        row[20 : 20 + side, left : left + side] = cv2.resize(
            head, (side, side), interpolation=cv2.INTER_AREA
        )
    with FaceDetector(max_faces=9) as find:
        faces = find(row)
    assert [face.face_id for face in faces] == [0, 1, 2, 3]
    middles = [float(face.points_xy[:, 0].mean()) for face in faces]
    np.testing.assert_allclose(middles, [450, 800, 120, 1060], atol=20)
    with FaceDetector(max_faces=1) as find:
        for picture in (row, np.ascontiguousarray(row[:, ::-1])):
            (largest,) = find(picture)
            assert largest.face_id == 0
            width = largest.box_xyxy[2] - largest.box_xyxy[0]
            assert width == pytest.approx(faces[0].box_xyxy[2] - faces[0].box_xyxy[0], rel=0.1)


def test_a_portrait_is_looked_at_once_and_a_group_until_all_are_found(
    astronaut_bgr: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    portrait = cv2.resize(astronaut_bgr[:240, 80:400], (640, 480))
    group = np.full((480, 640, 3), 120, np.uint8)
    head = cv2.resize(astronaut_bgr[10:250, 105:345], (137, 137), interpolation=cv2.INTER_AREA)
    for top, left in itertools.product((10, 188), (10, 188, 366)):
        group[top : top + 137, left : left + 137] = head
    sides_px: list[int] = []
    look = FaceDetector._look

    def counted(
        self: FaceDetector, image_bgr: npt.NDArray[np.uint8], window: tuple[int, int, int, int]
    ) -> list[npt.NDArray[np.float32]]:
        sides_px.append(window[2] - window[0])
        return look(self, image_bgr, window)

    monkeypatch.setattr(FaceDetector, "_look", counted)
    with FaceDetector(max_faces=10) as find:
        assert len(find(portrait)) == 1
        assert sides_px == [640]
        assert len(find(group)) == 6


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_every_place_of_a_picture_is_looked_at(width: int, height: int) -> None:
    windows = [window for step in _windows(width, height) for window in step]
    if max(width, height) <= 16 * min(width, height):
        whole, (left, top, right, bottom), *windows = windows
        assert whole == (0, 0, width, height)
        assert left == top <= 0
        assert (right, bottom) == (width - left, height - top)
    for left, top, right, bottom in windows:
        assert right - left == bottom - top >= 128
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    if windows:
        # What is no larger than half of the smallest squares lies wholly in one of them.
        side = windows[-1][2] - windows[-1][0]
        squares = [window for window in windows if window[2] - window[0] == side]
        for length, near, far in ((width, 0, 2), (height, 1, 3)):
            starts = sorted({window[near] for window in squares})
            assert starts[0] == 0
            assert max(window[far] for window in squares) == length
            assert all(b - a <= side / 2 + 1 for a, b in itertools.pairwise(starts))


def test_a_strip_is_no_harm(finder: FaceDetector) -> None:
    for size in ((1, 60000), (60000, 1), (1, 1), (16, 1), (150, 4000)):
        assert finder(np.full((*size, 3), 90, np.uint8)) == ()


def test_pictures_and_counts_that_make_no_sense_are_refused(finder: FaceDetector) -> None:
    with pytest.raises(ValueError, match=r"expected image_bgr as uint8"):
        finder(np.zeros((5, 5), np.uint8))
    with pytest.raises(ValueError, match="max_faces"):
        FaceDetector(max_faces=0)


# ---------------------------------------------------------------- identity

RATES_HZ = (15.0, 30.0, 120.0)


def box(x: float, y: float = 200.0, size: float = 100.0) -> tuple[float, float, float, float]:
    return (x - size / 2, y - size / 2, x + size / 2, y + size / 2)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_two_faces_that_cross_keep_their_identity(rate_hz: float) -> None:
    tracker = IdentityTracker()
    rng = np.random.default_rng(0)
    start = tracker(0.0, [box(100), box(500)])
    for i in range(1, int(2 * rate_hz)):
        t_s = i / rate_hz
        places = [100 + 200 * t_s, 500 - 200 * t_s]
        # In the middle one covers the other, and only one of them is found.
        visible = [0] if abs(places[0] - places[1]) < 60 else [0, 1]
        order = rng.permutation(visible)
        ids = tracker(t_s, [box(places[k] + rng.normal(0, 1)) for k in order])
        assert ids == tuple(start[k] for k in order)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_face_survives_a_short_loss_on_the_move(rate_hz: float) -> None:
    tracker = IdentityTracker()
    for i in range(int(rate_hz)):
        (face_id,) = tracker(i / rate_hz, [box(100 + 150 * i / rate_hz)])
    for i in range(int(rate_hz), int(1.8 * rate_hz)):
        assert tracker(i / rate_hz, []) == ()
    assert tracker.known_ids == {face_id}
    assert tracker(1.8, [box(100 + 150 * 1.8)]) == (face_id,)


def test_a_face_away_for_longer_is_a_new_one() -> None:
    tracker = IdentityTracker()
    assert tracker(0.0, [box(100)]) == (0,)
    assert tracker(FORGET_S, [box(100)]) == (0,)
    assert tracker(2 * FORGET_S + 0.01, [box(100)]) == (1,)
    assert tracker.known_ids == {1}


def test_an_implausible_jump_or_size_is_a_new_face() -> None:
    tracker = IdentityTracker()
    assert tracker(0.0, [box(100)]) == (0,)
    assert tracker(1 / 30, [box(140)]) == (0,)
    assert tracker(2 / 30, [box(440)]) == (1,)
    assert tracker(3 / 30, [box(440, size=200)]) == (2,)
    assert tracker(4 / 30, [box(440, size=210)]) == (2,)


def test_time_that_runs_backwards_makes_all_faces_new() -> None:
    tracker = IdentityTracker()
    assert tracker(5.0, [box(100), box(400)]) == (0, 1)
    assert tracker(5.0, [box(400), box(100)]) == (1, 0)
    assert tracker(0.0, [box(100), box(400)]) == (2, 3)


def test_boxes_without_area_are_tracked() -> None:
    tracker = IdentityTracker()
    assert tracker(0.0, [(5.0, 5.0, 5.0, 5.0)]) == (0,)
    assert tracker(0.1, [(5.0, 5.0, 5.0, 5.0)]) == (0,)


@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0, math.inf]), min_size=3, max_size=3),
        max_size=4,
    )
)
def test_the_assignment_is_the_best_there_is(costs: list[list[float]]) -> None:
    def value(columns: tuple[int | None, ...]) -> tuple[int, float]:
        pairs = [(row, column) for row, column in zip(costs, columns, strict=True)]
        return columns.count(None), sum(row[c] for row, c in pairs if c is not None)

    ways = (
        columns
        for columns in itertools.product((None, 0, 1, 2), repeat=len(costs))
        if len({c for c in columns if c is not None}) == len(columns) - columns.count(None)
        and all(c is None or row[c] < math.inf for row, c in zip(costs, columns, strict=True))
    )
    chosen = tuple(_assign(costs))
    assert value(chosen) == min(value(columns) for columns in ways)
    taken = [c for c in chosen if c is not None]
    assert len(set(taken)) == len(taken)


# ---------------------------------------------------------------- alignment

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


def aligned(face: Face, points: list[int]) -> FLOAT_XY:
    found: FLOAT_XY = face.points_xy[points] @ face.transform[:, :2].T + face.transform[:, 2]
    return found


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


# ---------------------------------------------------------------- alignment of a real face


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

    assert restlessness(transforms) < 1.1 * restlessness([transforms[-1]] * len(images))


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
