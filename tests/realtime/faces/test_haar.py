"""Faces are found and cut as with the FER2013 paper's cascade."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from realtime.errors import KilasError
from realtime.faces import haar
from realtime.faces.haar import HaarDetector
from realtime.macro.face_crops import cut_box, shrink

Gray = npt.NDArray[np.uint8]


@pytest.fixture
def find() -> HaarDetector:
    return HaarDetector()


@pytest.fixture(scope="module")
def gray(astronaut_bgr: Gray) -> Gray:
    return np.asarray(cv2.cvtColor(astronaut_bgr, cv2.COLOR_BGR2GRAY), np.uint8)


def test_a_face_is_found_where_it_is(find: HaarDetector, gray: Gray) -> None:
    boxes = find(gray)
    assert boxes.dtype == np.int64
    left, top, width, height = boxes[0]
    assert width == height
    # The woman's nose and eyes, read off the picture.
    for x, y in ((226, 128), (205, 102), (248, 104)):
        assert left < x < left + width
        assert top < y < top + height


def test_the_largest_face_comes_first(find: HaarDetector, gray: Gray) -> None:
    head = gray[20:240, 110:330]
    both = np.full((400, 700), 128, np.uint8)
    both[30:140, 30:140] = cv2.resize(head, (110, 110), interpolation=cv2.INTER_AREA)
    both[100:320, 400:620] = head
    boxes = find(both)
    assert len(boxes) == 2
    assert boxes[0, 0] > 400 > boxes[1, 0] + boxes[1, 2]
    assert boxes[0, 2] > 1.5 * boxes[1, 2]


def test_a_still_as_small_and_tight_as_fer2013_has_a_face(find: HaarDetector, gray: Gray) -> None:
    tight = cv2.resize(gray[60:190, 160:290], (48, 48), interpolation=cv2.INTER_AREA)
    left, top, width, height = find(np.asarray(tight, np.uint8))[0]
    assert abs(left + width / 2 - 24) < 6
    assert abs(top + height / 2 - 24) < 6
    assert 30 < width < 60


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (48, 48), (3, 5000), (300, 400)])
def test_where_there_is_no_face_there_is_no_box(find: HaarDetector, size: tuple[int, int]) -> None:
    assert find(np.full(size, 90, np.uint8)).shape == (0, 4)


def test_what_is_found_beside_the_picture_is_no_face(
    find: HaarDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = [(0, 0, 40, 40), (30, 60, 80, 80), (60, 30, 60, 60), (265, 70, 30, 30)]
    found = SimpleNamespace(detectMultiScale=lambda *_, **__: np.array(hits))
    monkeypatch.setattr(find, "_cascade", found)
    # The border is 50 pixels wide.
    boxes = find(np.zeros((200, 210), np.uint8))
    assert boxes.tolist() == [[-20, 10, 80, 80], [10, -20, 60, 60]]


def test_other_pictures_than_gray_ones_are_refused(find: HaarDetector) -> None:
    for wrong in (
        np.zeros((9, 9, 3), np.uint8),
        np.zeros((0, 9), np.uint8),
        np.zeros((9, 9), np.uint16),
    ):
        with pytest.raises(ValueError, match="expected gray uint8"):
            find(wrong)  # type: ignore[arg-type]


def test_a_box_is_cut_out_and_shrunk() -> None:
    gray = np.zeros((200, 300), np.uint8)
    gray[50:146, 100:196] = np.arange(96)[None, :] // 2
    face = cut_box(gray, np.array([100, 50, 96, 96]))
    assert face.dtype == np.uint8
    np.testing.assert_array_equal(face, np.tile(np.arange(48), (48, 1)))


def test_a_box_beyond_the_picture_goes_on_as_the_edge_does() -> None:
    gray = np.full((60, 60), 7, np.uint8)
    gray[:, 30:] = 200
    face = cut_box(gray, np.array([-30, -10, 96, 96]))
    assert (face[:, :29] == 7).all()
    assert (face[:, 31:] == 200).all()
    for outside in ([60, 0, 10, 10], [0, -10, 10, 10], [0, 0, 0, 0]):
        with pytest.raises(ValueError, match="expected a box in a picture"):
            cut_box(gray, np.array(outside))


def test_fine_patterns_become_gray_and_small_pictures_are_enlarged_smoothly() -> None:
    stripes = np.zeros((480, 480), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(shrink(stripes)) <= 1
    ramp = np.tile(np.linspace(0, 255, 24).astype(np.uint8), (24, 1))
    face = shrink(ramp)
    assert (np.diff(face[24].astype(int)) >= 0).all()
    assert len(np.unique(face[24])) > 40
    same = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    np.testing.assert_array_equal(shrink(same), same)


def test_a_cascade_that_is_missing_or_none_is_one_sentence_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KilasError, match=r"brings no Haar cascade.*--faces landmarks"):
        HaarDetector(tmp_path / "missing.xml")
    other = tmp_path / "other.xml"
    other.write_text('<?xml version="1.0"?><opencv_storage></opencv_storage>')
    with pytest.raises(KilasError, match="is no Haar cascade"):
        HaarDetector(other)
    monkeypatch.delattr(haar.cv2, "data")  # as OpenCV 5
    with pytest.raises(KilasError, match="brings no Haar cascade"):
        HaarDetector()
