"""Faces of single pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.faces.detector import FaceDetector, _windows
from realtime.faces.tracker import FaceTracker
from realtime.types import Frame


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
