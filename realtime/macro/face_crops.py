"""Face crops: the 48 x 48 gray faces that the still-image network scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from realtime.faces.detector import FaceDetector
from realtime.faces.haar import HaarDetector
from realtime.faces.identity import IdentityTracker
from realtime.faces.tracker import FaceTracker
from realtime.macro.model import ALIGNED_EYES_APART_PX, ALIGNED_EYES_Y_PX, FACE_PX, MacroSpec
from realtime.spec import FACE_SIZE
from realtime.types import Frame, UInt8Array

EDGE_PX = 2
"""Pixels of the image kept around a cut: linear interpolation reads one pixel beside it."""

LARGEST_STEP = 2.0
"""Most pixels of the image from one sample of the face to the next.

Linear interpolation reads about as many, so hardly any pixel is passed over. With 1 a cut takes
three times as long, and of 40 faces none got another label.
"""


Cut = Literal["landmarks", "haar", "cropped"]
"""Way in which faces are cut out.

`landmarks`: upright, the eyes where the training data have them, as live. `haar`: the cascade's
square, as the FER2013 paper has it. `cropped`: each image is a face already, as in FER2013; of an
image that is not square, the largest square in its middle, because a face that is stretched shows
another expression.
"""

CutPicture = Callable[[UInt8Array], list[UInt8Array]]
"""Function from an image, uint8 BGR [h, w, 3], to its faces, uint8 [48, 48], largest first."""

CutFrame = Callable[[Frame], list[tuple[int, UInt8Array]]]
"""Function from a frame of a stream to its faces, each with its identity over time."""


@contextmanager
def picture_cutter(cut: Cut, max_faces: int, spec: MacroSpec) -> Iterator[CutPicture]:
    """Yield a function that cuts the faces out of images that have nothing to do with each other.

    Raises KilasError when there is no Haar cascade. For one thread at a time.
    """
    if cut == "cropped":
        yield lambda image_bgr: [_middle(_gray(image_bgr))]
    elif cut == "haar":
        find_boxes = HaarDetector()

        def cut_boxes(image_bgr: UInt8Array) -> list[UInt8Array]:
            gray = _gray(image_bgr)
            return [cut_box(gray, box) for box in find_boxes(gray)[:max_faces]]

        yield cut_boxes
    else:
        with FaceDetector(max_faces) as find_faces:
            yield lambda image_bgr: [
                cut_face(image_bgr, face.transform, spec) for face in find_faces(image_bgr)
            ]


@contextmanager
def frame_cutter(cut: Cut, max_faces: int, spec: MacroSpec) -> Iterator[CutFrame]:
    """Yield a function that cuts the faces out of the frames of one stream.

    The frames come in the order of their time. Raises and is used as `picture_cutter`.
    """
    if cut == "landmarks":
        with FaceTracker(max_faces) as track_faces:
            yield lambda frame: [
                (face.face_id, cut_face(frame.image_bgr, face.transform, spec))
                for face in track_faces(frame)
            ]
    elif cut == "haar":
        find_boxes, identify = HaarDetector(), IdentityTracker()

        def cut_boxes(frame: Frame) -> list[tuple[int, UInt8Array]]:
            gray = _gray(frame.image_bgr)
            boxes = find_boxes(gray)[:max_faces]
            corners = [(x, y, x + width, y + height) for x, y, width, height in boxes.tolist()]
            ids = identify(frame.t_s, corners)
            faces = zip(ids, (cut_box(gray, box) for box in boxes), strict=True)
            return sorted(faces, key=lambda one: one[0])

        yield cut_boxes
    else:
        yield lambda frame: [(0, _middle(_gray(frame.image_bgr)))]


def _gray(image_bgr: UInt8Array) -> UInt8Array:
    return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY), np.uint8)


def _middle(gray: UInt8Array) -> UInt8Array:
    """Return the largest square in the middle of an image, as a face."""
    height, width = gray.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return shrink(gray[top : top + side, left : left + side])


def cut_box(gray: UInt8Array, box: npt.NDArray[np.int64]) -> UInt8Array:
    """Cut a box, int64 [4], as `HaarDetector` returns it, out of a gray image: uint8 [48, 48].

    Beside the image its edge goes on. Raises ValueError for a box that lies outside.
    """
    left, top, width, height = box
    height_px, width_px = gray.shape
    if min(left + width, width_px) <= max(left, 0) or min(top + height, height_px) <= max(top, 0):
        raise ValueError(f"expected a box in a picture {list(gray.shape)}, got {box.tolist()}")
    rows = np.arange(top, top + height).clip(0, height_px - 1)
    columns = np.arange(left, left + width).clip(0, width_px - 1)
    return shrink(gray[np.ix_(rows, columns)])


def shrink(gray: UInt8Array) -> UInt8Array:
    """Scale a gray image of nothing but a face, uint8 [h, w], to uint8 [48, 48].

    A smaller image is enlarged.
    """
    is_smaller = min(gray.shape) < FACE_PX
    way = cv2.INTER_CUBIC if is_smaller else cv2.INTER_AREA
    return np.asarray(cv2.resize(gray, (FACE_PX, FACE_PX), interpolation=way), np.uint8)


def cut_face(
    image_bgr: UInt8Array, transform: npt.NDArray[np.floating[Any]], spec: MacroSpec
) -> UInt8Array:
    """Cut a face out of an image as the model needs it: upright, gray, uint8 [48, 48].

    `image_bgr`: uint8 [H, W, 3]; `transform`: of `realtime.types.Face`, which holds still while the
    head does. Beside the image its edge goes on.
    """
    scale = spec.eyes_apart_px / ALIGNED_EYES_APART_PX
    whole = scale * np.asarray(transform, np.float64)
    whole[0, 2] += FACE_PX / 2 - scale * FACE_SIZE / 2
    whole[1, 2] += spec.eyes_y_px - scale * ALIGNED_EYES_Y_PX
    step = 1.0 / math.hypot(whole[0, 0], whole[1, 0])  # pixels of the image
    fine = max(1, math.ceil(step / LARGEST_STEP))
    whole *= fine
    side = fine * FACE_PX
    # OpenCV cannot cut out of an image of more than 32,766 pixels a side, such as a panorama.
    left, top, right, bottom = _bounds(whole, side, image_bgr.shape)
    whole[:, 2] += left * whole[:, 0] + top * whole[:, 1]
    # For OpenCV a pixel's middle is at whole numbers, for landmarks at halves.
    whole[:, 2] += 0.5 * (whole[:, 0] + whole[:, 1]) - 0.5
    part = image_bgr[top:bottom, left:right]
    cut = cv2.warpAffine(part, whole, (side, side), borderMode=cv2.BORDER_REPLICATE)
    gray = cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY)
    if fine > 1:
        gray = cv2.resize(gray, (FACE_PX, FACE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8)


def _bounds(
    transform: npt.NDArray[np.float64], side_px: int, shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Return the part of an image [h, w, 3] that a square cut out of it with `transform` reads.

    Left, top, right and bottom, the latter two not included. For a cut that lies beside the image,
    the edge next to it.
    """
    (a, b, c), (d, e, f) = cv2.invertAffineTransform(transform).tolist()
    left = math.floor(c + side_px * (min(a, 0.0) + min(b, 0.0))) - EDGE_PX
    top = math.floor(f + side_px * (min(d, 0.0) + min(e, 0.0))) - EDGE_PX
    right = math.ceil(c + side_px * (max(a, 0.0) + max(b, 0.0))) + EDGE_PX
    bottom = math.ceil(f + side_px * (max(d, 0.0) + max(e, 0.0))) + EDGE_PX
    height, width = shape[:2]
    return (
        min(max(left, 0), width - 1),
        min(max(top, 0), height - 1),
        max(min(right, width), 1),
        max(min(bottom, height), 1),
    )
