"""`FaceDetector`: find the faces of a single image, small ones too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from realtime.faces.alignment import StableAlignment
from realtime.faces.face_landmarker import FaceLandmarker
from realtime.faces.landmarks import Box, bounding_box, check_frame, to_pixels
from realtime.types import Face, Float32Array

# Margin around an image, as a share of its shorter side. A face that fills its image is found with
# it: of 400 stills of FER2013 93 % without and 98 % with it.
_MARGIN = 0.25
# Side of the smallest window. The detector scales an image to 128 x 128 pixels and finds faces from
# a tenth of it on. A smaller part of an image shows it nothing new.
_SMALLEST_WINDOW_PX = 128
# Narrowest face that is found, as a share of a window's longer side: in 640 pixels all heads of 80
# pixels were found, and half of those of 72.
_NARROWEST_SHARE = 1 / 8
# Narrowest face that is searched for beside a face that was found, as a share of its width: people
# who stand together. Each further search takes as long as the first.
_NARROWEST_BESIDE = 0.5
# Least number of faces that MediaPipe is asked for: it does not return the largest first.
_LOOKED_FOR = 5
# Longest window that MediaPipe is given, longer side over shorter. A longer strip would be a few
# pixels wide there, and MediaPipe ends the whole process when a side comes to nothing.
_LONGEST_WINDOW = 16

_Window = tuple[int, int, int, int]
"""Part of an image: left, top, right and bottom, the latter two not included."""


class FaceDetector:
    """Detector of faces in images that have nothing to do with each other.

    The result for an image does not depend on the images before it. Belongs to one thread at a
    time.

    Where fewer faces are found than were asked for, an image is searched again: with a margin,
    because a face that fills it is missed, and square by square, because small ones are. Beside a
    face that was found, those that are less than half as wide are not searched for.
    """

    def __init__(self, max_faces: int = 1) -> None:
        """Load MediaPipe, as `FaceTracker` does."""
        if max_faces < 1:
            raise ValueError(f"expected max_faces of at least 1, found {max_faces}")
        self._max_faces = max_faces
        self._landmarker = FaceLandmarker(max(max_faces, _LOOKED_FOR), static=True)

    def __call__(self, image_bgr: npt.NDArray[np.uint8]) -> tuple[Face, ...]:
        """Find at most `max_faces` faces of an image, uint8 [height, width, 3].

        The largest comes first, and faces are numbered in this order; `frame_id` is 0. Raises as
        `FaceTracker` does.
        """
        check_frame(image_bgr)
        height, width, _ = image_bgr.shape
        found: list[tuple[Box, Float32Array, Float32Array]] = []
        narrowest_px = math.inf  # of the faces that would have been found so far
        for windows in _windows(width, height):
            widest_px = max((box[2] - box[0] for box, *_ in found), default=0.0)
            if len(found) >= self._max_faces or narrowest_px <= _NARROWEST_BESIDE * widest_px:
                break
            for window in windows:
                for points_xy, head in self._look(image_bgr, window):
                    box = bounding_box(points_xy)
                    if _is_whole(box, window, width, height) and not any(
                        _is_same(box, other) for other, *_ in found
                    ):
                        found.append((box, points_xy, head))
            left, top, right, bottom = windows[0]
            narrowest_px = min(narrowest_px, _NARROWEST_SHARE * max(right - left, bottom - top))
        found.sort(key=lambda one: (-_area(one[0]), one[0]))
        return tuple(
            Face(0, face_id, points_xy, box, StableAlignment()(0.0, points_xy), head)
            for face_id, (box, points_xy, head) in enumerate(found[: self._max_faces])
        )

    def close(self) -> None:
        """Free MediaPipe's graph; the detector cannot be used afterwards."""
        self._landmarker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _look(
        self, image_bgr: npt.NDArray[np.uint8], window: _Window
    ) -> list[tuple[Float32Array, Float32Array]]:
        """Return the mesh and the head pose of each face in a window, which is black beside the
        image. Meshes are in pixels of the image."""
        height, width, _ = image_bgr.shape
        left, top, right, bottom = window
        part = image_bgr[max(top, 0) : bottom, max(left, 0) : right]
        border = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
        if any(border):
            part = cv2.copyMakeBorder(part, *border, cv2.BORDER_CONSTANT).astype(
                np.uint8, copy=False
            )
        rgb = cv2.cvtColor(part, cv2.COLOR_BGR2RGB)
        corner_xy = np.array([left, top], np.float32)
        return [
            (to_pixels(face.points, right - left, bottom - top) + corner_xy, face.head)
            for face in self._landmarker.find(np.asarray(rgb, np.uint8))
        ]


def _windows(width: int, height: int) -> Iterator[list[_Window]]:
    """Yield the parts of an image in which faces are searched for, step by step.

    They are all of it, all of it with a margin, and squares that overlap by half, as large as fits
    and half as large.
    """
    shorter, longer = sorted((width, height))
    if longer <= _LONGEST_WINDOW * shorter:
        yield [(0, 0, width, height)]
        margin = round(_MARGIN * shorter)
        yield [(-margin, -margin, width + margin, height + margin)]
    for side in (shorter, shorter // 2):
        if _SMALLEST_WINDOW_PX <= side < longer:
            yield [
                (left, top, left + side, top + side)
                for top in _starts(height, side)
                for left in _starts(width, side)
            ]


def _starts(length: int, side: int) -> list[int]:
    """Return where the windows of length `side` begin along `length` pixels."""
    count = 1 + math.ceil(2 * (length - side) / side)
    return [round(start) for start in np.linspace(0, length - side, count)]


def _is_whole(box: Box, window: _Window, width: int, height: int) -> bool:
    """Return True if no edge of the window that lies within the image cuts the face."""
    left, top, right, bottom = window
    return (
        (left <= 0 or box[0] >= left)
        and (top <= 0 or box[1] >= top)
        and (right >= width or box[2] <= right)
        and (bottom >= height or box[3] <= bottom)
    )


def _is_same(box: Box, other: Box) -> bool:
    """Return True if two boxes belong to one face: the middle of one lies in the other."""
    return _holds_middle(box, other) or _holds_middle(other, box)


def _holds_middle(box: Box, other: Box) -> bool:
    """Return True if the middle of `other` lies in `box`."""
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
