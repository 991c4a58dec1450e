"""Extraction of the aligned gray regions from a frame and a transform.

One numba pass reads only the pixels that the layout needs: it walks over the aligned face, looks up
where each of its pixels lies in the frame, turns the four neighbours there into gray and blends
them. The arithmetic is OpenCV's: gray weights in 14 bits as in `cvtColor`, coordinates rounded to
1/32 pixel as in `warpAffine`, so that frames prepared with plain OpenCV calls and frames prepared
here look the same to a model.
"""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
import numpy.typing as npt

from realtime.kernels import kernel
from realtime.spec import FACE_SIZE, LAYOUTS, Mask, RegionLayout

# OpenCV's `cvtColor`: 0.114 B + 0.587 G + 0.299 R in fixed point.
_GRAY_BITS = 14
_BLUE, _GREEN, _RED = 1868, 9617, 4899

# OpenCV's `warpAffine`: coordinates are formed with 10 fractional bits and rounded to 5.
_COORDINATE_BITS = 10
_BLEND_BITS = 5

# Outlines in the 68-point view (iBUG order) that a mask hides: both eyes and the outer lips.
_EYES = (slice(36, 42), slice(42, 48))
_MOUTH = (slice(48, 60),)
_MASK_PARTS: dict[Mask, tuple[slice, ...]] = {
    "none": (),
    "eyes": _EYES,
    "mouth": _MOUTH,
    "eyes+mouth": _EYES + _MOUTH,
}

_BOXES: dict[RegionLayout, npt.NDArray[np.int64]] = {
    layout: np.array(boxes, np.int64) for layout, boxes in LAYOUTS.items()
}


def region_shape(layout: RegionLayout) -> tuple[int, int, int]:
    """Return the shape (R, H, W) of the result of `extract_regions` for a layout."""
    left, top, right, bottom = LAYOUTS[layout][0]
    return len(LAYOUTS[layout]), bottom - top, right - left


def extract_regions(
    image_bgr: npt.NDArray[np.uint8],
    transform: npt.NDArray[np.floating],
    layout: RegionLayout,
    mask: Mask = "none",
    points_68_xy: npt.NDArray[np.floating] | None = None,
) -> npt.NDArray[np.uint8]:
    """Cut the regions of one face out of one frame.

    `image_bgr`: uint8 [height, width, 3]; an array that is not contiguous is copied first.
    `transform`: [2, 3], the affine map from pixels of the frame to pixels of the aligned face.
    `mask`: the part that is painted black (S2); the outlines are the convex hulls of the points of
    the eyes and of the outer lips. `points_68_xy`: [68, 2], pixels of the frame in iBUG order;
    needed for a mask only.

    Returns uint8 [R, H, W]. Sampling is bilinear; beyond the border of the frame its outermost
    pixels are repeated. Equals `cv2.cvtColor`, `cv2.warpAffine` with BORDER_REPLICATE and slicing,
    within one gray level.

    Raises ValueError when an argument has the wrong shape or type, or the transform cannot be
    inverted.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"expected a layout out of {list(LAYOUTS)}, found {layout!r}")
    if mask not in _MASK_PARTS:
        raise ValueError(f"expected a mask out of {list(get_args(Mask))}, found {mask!r}")
    if (
        image_bgr.ndim != 3
        or image_bgr.shape[2] != 3
        or image_bgr.dtype != np.uint8
        or image_bgr.size == 0
    ):
        raise ValueError(
            "expected image_bgr as uint8 [height, width, 3], "
            f"found {image_bgr.dtype} {list(image_bgr.shape)}"
        )
    cut = np.empty(region_shape(layout), np.uint8)
    inverse = _invert(transform)
    _sample_gray(np.ascontiguousarray(image_bgr), inverse, _BOXES[layout], cut)
    if mask != "none":
        _paint_masks(cut, transform, layout, mask, points_68_xy)
    return cut


def warm_up(*layouts: RegionLayout) -> None:
    """Compile the kernels for these layouts (all, if none is named), before capture starts.

    Takes a second or two the first time on a machine; later runs read the result from disk.
    """
    image_bgr = np.zeros((2, 2, 3), np.uint8)
    read_only_bgr = image_bgr.copy()
    read_only_bgr.flags.writeable = False  # numba compiles this as a type of its own
    for layout in layouts or tuple(LAYOUTS):
        for image in (image_bgr, read_only_bgr):
            extract_regions(image, np.eye(2, 3, dtype=np.float32), layout)


def _invert(transform: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the inverse affine map, float64 [2, 3], formed as in `cv2.warpAffine`."""
    if transform.shape != (2, 3):
        raise ValueError(f"expected transform as [2, 3], found {list(transform.shape)}")
    (a, b, x), (c, d, y) = transform.tolist()
    determinant = a * d - b * c
    if not np.isfinite(transform).all() or not 1e-12 < abs(determinant) < 1e12:
        raise ValueError(f"expected a transform that can be inverted, found {transform.tolist()}")
    scale = 1.0 / determinant
    i00, i01, i10, i11 = d * scale, b * -scale, c * -scale, a * scale
    return np.array([[i00, i01, -i00 * x - i01 * y], [i10, i11, -i10 * x - i11 * y]])


def _paint_masks(
    regions: npt.NDArray[np.uint8],
    transform: npt.NDArray[np.floating],
    layout: RegionLayout,
    mask: Mask,
    points_68_xy: npt.NDArray[np.floating] | None,
) -> None:
    """Paint the masked parts of the regions black."""
    if points_68_xy is None or points_68_xy.shape != (68, 2):
        found = "none" if points_68_xy is None else list(points_68_xy.shape)
        raise ValueError(f"expected points_68_xy as [68, 2] for mask {mask!r}, found {found}")
    aligned_xy = points_68_xy @ transform[:, :2].T + transform[:, 2]
    if not np.isfinite(aligned_xy).all():
        raise ValueError("expected finite points_68_xy, found NaN or infinity")
    # Far-away points are moved to where OpenCV's fixed-point drawing still works.
    pixels_xy = np.rint(np.clip(aligned_xy, -8 * FACE_SIZE, 8 * FACE_SIZE)).astype(np.int32)
    hidden = np.zeros((FACE_SIZE, FACE_SIZE), np.uint8)
    for part in _MASK_PARTS[mask]:
        cv2.fillConvexPoly(hidden, cv2.convexHull(pixels_xy[part]), (255,))
    for region, (left, top, right, bottom) in zip(regions, LAYOUTS[layout], strict=True):
        region[hidden[top:bottom, left:right] > 0] = 0


@kernel()
def _sample_gray(image_bgr, inverse, boxes, out):  # type: ignore[no-untyped-def]
    """Sample the gray values of all regions.

    image_bgr: uint8 [h, w, 3]; inverse: float64 [2, 3]; boxes: int64 [R, 4]; out: uint8 [R, H, W],
    written.
    """
    height, width = image_bgr.shape[0], image_bgr.shape[1]
    pixels = image_bgr.reshape(height * width * 3)
    steps = 1 << _BLEND_BITS
    drop = _COORDINATE_BITS - _BLEND_BITS
    last_x, last_y = (width - 1) * steps, (height - 1) * steps
    column_x = np.empty(out.shape[2], np.int64)
    column_y = np.empty(out.shape[2], np.int64)
    for r in range(out.shape[0]):
        left, top = boxes[r, 0], boxes[r, 1]
        for column in range(out.shape[2]):
            column_x[column] = _fixed(inverse[0, 0] * (left + column))
            column_y[column] = _fixed(inverse[1, 0] * (left + column))
        for row in range(out.shape[1]):
            row_x = _fixed(inverse[0, 1] * (top + row) + inverse[0, 2]) + (1 << (drop - 1))
            row_y = _fixed(inverse[1, 1] * (top + row) + inverse[1, 2]) + (1 << (drop - 1))
            for column in range(out.shape[2]):
                # Clamping the coordinate repeats the border.
                x = min(max((row_x + column_x[column]) >> drop, 0), last_x)
                y = min(max((row_y + column_y[column]) >> drop, 0), last_y)
                # Unsigned, so that numba does not look for negative indices.
                here = np.uint64(((y >> _BLEND_BITS) * width + (x >> _BLEND_BITS)) * 3)
                right = here + np.uint64(3 * (x < last_x))
                below = np.uint64(width * 3 * (y < last_y))
                fx, fy = x & (steps - 1), y & (steps - 1)
                blend = (steps - fy) * (
                    (steps - fx) * _gray(pixels, here) + fx * _gray(pixels, right)
                ) + fy * (
                    (steps - fx) * _gray(pixels, here + below) + fx * _gray(pixels, right + below)
                )
                out[r, row, column] = (blend + steps * steps // 2) >> (2 * _BLEND_BITS)


@kernel(inline="always")
def _fixed(coordinate):  # type: ignore[no-untyped-def]
    # Beyond the bound all samples are the border's, and larger numbers would not fit an integer.
    bound = float(1 << 40)
    return int(min(max(np.rint(coordinate * (1 << _COORDINATE_BITS)), -bound), bound))


@kernel(inline="always")
def _gray(pixels, i):  # type: ignore[no-untyped-def]
    return (
        _BLUE * pixels[i]
        + _GREEN * pixels[i + np.uint64(1)]
        + _RED * pixels[i + np.uint64(2)]
        + (1 << (_GRAY_BITS - 1))
    ) >> _GRAY_BITS
