"""The regions are what plain OpenCV calls would give, for any frame and any transform."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.preprocessing.regions import extract_regions, region_shape, warm_up
from realtime.spec import FACE_SIZE, LAYOUTS, Mask, RegionLayout

Image = npt.NDArray[np.uint8]
Transform = npt.NDArray[np.float32]
ALL_LAYOUTS = st.sampled_from(list(LAYOUTS))


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up()


def twin(
    image_bgr: Image,
    transform: Transform,
    layout: RegionLayout,
    polygons_xy: list[npt.NDArray[np.float32]] | None = None,
) -> Image:
    """The same in plain OpenCV: gray, warp, paint the polygons black, cut."""
    gray = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    size = (FACE_SIZE, FACE_SIZE)
    aligned = cv2.warpAffine(gray, transform, size, borderMode=cv2.BORDER_REPLICATE)
    for polygon_xy in polygons_xy or []:
        corners = cv2.transform(polygon_xy[None], transform)[0]
        cv2.fillConvexPoly(aligned, cv2.convexHull(np.rint(corners).astype(np.int32)), (0,))
    return np.stack([aligned[t:b, left:right] for left, t, right, b in LAYOUTS[layout]])


def similarity(scale: float, roll_deg: float, x: float, y: float) -> Transform:
    """Turns and scales about the image's origin, then moves it to (x, y) of the aligned face."""
    c, s = scale * math.cos(math.radians(roll_deg)), scale * math.sin(math.radians(roll_deg))
    return np.array([[c, -s, x], [s, c, y]], np.float32)


def assert_same(found: Image, expected: Image) -> None:
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1, f"{(difference > 1).sum()} pixels differ"


@st.composite
def transforms(draw: st.DrawFn) -> Transform:
    """From face of 20 px to 2000 px, any roll, inside, across and outside of the frame."""
    return similarity(
        draw(st.floats(0.06, 6.0)),
        draw(st.floats(-180, 180)),
        draw(st.floats(-600, 600)),
        draw(st.floats(-600, 600)),
    )


@st.composite
def images(draw: st.DrawFn) -> Image:
    height, width = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return rng.integers(0, 256, (height, width, 3), np.uint8)


@settings(deadline=None, max_examples=300)
@given(images(), transforms(), ALL_LAYOUTS)
def test_equals_opencv(image_bgr: Image, transform: Transform, layout: RegionLayout) -> None:
    found = extract_regions(image_bgr, transform, layout)
    assert found.dtype == np.uint8
    assert_same(found, twin(image_bgr, transform, layout))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_equals_opencv_on_a_real_face(astronaut_bgr: Image, layout: RegionLayout) -> None:
    transform = similarity(1.28, 2.0, -220.0, -90.0)
    found = extract_regions(astronaut_bgr, transform, layout)
    assert_same(found, twin(astronaut_bgr, transform, layout))
    assert found.std() > 20, "a face, not a blank"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_regions_lie_where_the_layout_says(layout: RegionLayout) -> None:
    ramp = np.add.outer(np.arange(FACE_SIZE), np.arange(FACE_SIZE)).astype(np.uint8)
    found = extract_regions(np.dstack([ramp] * 3), np.eye(2, 3, dtype=np.float32), layout)
    for region, (left, top, right, bottom) in zip(found, LAYOUTS[layout], strict=True):
        assert np.array_equal(region, ramp[top:bottom, left:right])
    assert found.shape == region_shape(layout)


def test_beyond_the_frame_its_border_is_repeated() -> None:
    image_bgr = np.full((10, 10, 3), 50, np.uint8)
    image_bgr[:, -1] = 200
    far_left = extract_regions(image_bgr, similarity(1, 0, 1e6, 0), "single")
    far_right = extract_regions(image_bgr, similarity(1, 0, -1e6, 0), "single")
    assert (far_left == 50).all()
    assert (far_right == 200).all()
    # So far away that the coordinates fit no integer.
    assert (extract_regions(image_bgr, similarity(1e-5, 0, -1e30, 0), "single") == 200).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_views_and_read_only_frames_are_taken(astronaut_bgr: Image, layout: RegionLayout) -> None:
    transform = similarity(1.28, 0, -200.0, -90.0)
    for view in (astronaut_bgr[::2, ::-1], astronaut_bgr[10:300, 50:400]):
        expected = extract_regions(view.copy(), transform, layout)
        assert np.array_equal(extract_regions(view, transform, layout), expected)
        frozen = view.copy()
        frozen.flags.writeable = False
        assert np.array_equal(extract_regions(frozen, transform, layout), expected)


# iBUG points of a face in the aligned frame: eyes about (44, 38) and (84, 38), lips at (64, 95).
def eye(x: float) -> list[tuple[float, float]]:
    return [(x - 10, 38), (x - 4, 33), (x + 4, 33), (x + 10, 38), (x + 4, 42), (x - 4, 42)]


OUTER_LIPS = [
    *((44, 95), (50, 90), (58, 87), (64, 88), (70, 87), (78, 90)),
    *((84, 95), (78, 101), (70, 104), (64, 105), (58, 104), (50, 101)),
]
POINTS_68 = np.array([(0.0, 0.0)] * 36 + eye(44) + eye(84) + OUTER_LIPS + [(64, 95)] * 8)
PARTS: dict[Mask, list[slice]] = {
    "none": [],
    "eyes": [slice(36, 42), slice(42, 48)],
    "mouth": [slice(48, 60)],
    "eyes+mouth": [slice(36, 42), slice(42, 48), slice(48, 60)],
}


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(list(PARTS)),
    ALL_LAYOUTS,
    st.floats(0.3, 3),
    st.floats(-180, 180),
    st.floats(-80, 80),
    st.floats(-80, 80),
)
def test_masks_equal_painting_on_the_aligned_face(
    mask: Mask, layout: RegionLayout, scale: float, roll_deg: float, x: float, y: float
) -> None:
    """The transform turns and moves a face away, so that masks also reach over the border."""
    image_bgr = np.full((128, 128, 3), 180, np.uint8)
    transform = similarity(scale, roll_deg, x, y)
    points = POINTS_68.astype(np.float32)
    found = extract_regions(image_bgr, transform, layout, mask, points)
    expected = twin(image_bgr, transform, layout, [points[part] for part in PARTS[mask]])
    # A corner that lies between two pixels may be rounded either way.
    assert (found != expected).mean() < 0.005
    assert set(np.unique(found)) <= {0, 180}


def test_masks_hide_what_they_are_called() -> None:
    image_bgr = np.full((128, 128, 3), 180, np.uint8)
    upright = np.eye(2, 3, dtype=np.float32)
    cases: list[tuple[Mask, bool, bool]] = [
        ("none", False, False),
        ("eyes", True, False),
        ("mouth", False, True),
        ("eyes+mouth", True, True),
    ]
    for mask, hides_eyes, hides_mouth in cases:
        (face,) = extract_regions(image_bgr, upright, "single", mask, POINTS_68)
        assert (face[38, 44] == 0) == (face[38, 84] == 0) == hides_eyes
        assert (face[95, 64] == 0) == hides_mouth
        assert face[60, 64] == 180


def test_wrong_arguments_are_told_with_what_was_expected() -> None:
    image_bgr = np.zeros((20, 20, 3), np.uint8)
    upright = np.eye(2, 3, dtype=np.float32)
    wrong = upright.copy()
    wrong[0, 2] = np.nan
    with pytest.raises(ValueError, match=r"uint8 \[height, width, 3\], found uint8 \[20, 20\]"):
        extract_regions(image_bgr[:, :, 0], upright, "triple")
    with pytest.raises(ValueError, match="found float64"):
        extract_regions(image_bgr.astype(np.float64), upright, "triple")
    with pytest.raises(ValueError, match=r"found uint8 \[0, 20, 3\]"):
        extract_regions(image_bgr[:0], upright, "triple")
    with pytest.raises(ValueError, match=r"transform as \[2, 3\], found \[3, 3\]"):
        extract_regions(image_bgr, np.eye(3, dtype=np.float32), "triple")
    for transform in (wrong, np.zeros((2, 3), np.float32)):
        with pytest.raises(ValueError, match="can be inverted"):
            extract_regions(image_bgr, transform, "triple")
    with pytest.raises(ValueError, match="layout"):
        extract_regions(image_bgr, upright, "quad")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mask"):
        extract_regions(image_bgr, upright, "triple", "nose")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[68, 2\] for mask 'eyes', found none"):
        extract_regions(image_bgr, upright, "triple", "eyes")
    with pytest.raises(ValueError, match="finite"):
        extract_regions(image_bgr, upright, "triple", "eyes", np.full((68, 2), np.nan))
