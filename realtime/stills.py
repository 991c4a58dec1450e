"""Pictures and frames to the 48 x 48 gray faces that the still-image network scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import cv2
import numpy as np

from realtime.haar import HaarFinder, cut_box, shrink
from realtime.landmarks import FaceFinder, FaceTracker, IdentityTracker
from realtime.macro import MacroSpec, cut_face
from realtime.types import Frame, UInt8Array

Cut = Literal["landmarks", "haar", "cropped"]
"""How faces are cut out. `landmarks`: upright, the eyes where the training data have them, as
live. `haar`: the cascade's square, as the FER2013 paper has it. `cropped`: each picture is a face
already, as in FER2013; of one that is not square, the largest square in its middle, because a face
that is stretched shows another expression."""

CutPicture = Callable[[UInt8Array], list[UInt8Array]]
"""A picture, uint8 BGR [h, w, 3] -> its faces, each uint8 [48, 48], the largest first."""

CutFrame = Callable[[Frame], list[tuple[int, UInt8Array]]]
"""A frame of a stream -> its faces, each with its identity over time."""


@contextmanager
def picture_cutter(cut: Cut, max_faces: int, spec: MacroSpec) -> Iterator[CutPicture]:
    """Cuts the faces of pictures that have nothing to do with each other. Raises KilasError when
    there is no Haar cascade. For one thread at a time."""
    if cut == "cropped":
        yield lambda image_bgr: [_middle(_gray(image_bgr))]
    elif cut == "haar":
        find_boxes = HaarFinder()

        def cut_boxes(image_bgr: UInt8Array) -> list[UInt8Array]:
            gray = _gray(image_bgr)
            return [cut_box(gray, box) for box in find_boxes(gray)[:max_faces]]

        yield cut_boxes
    else:
        with FaceFinder(max_faces) as find_faces:
            yield lambda image_bgr: [
                cut_face(image_bgr, face.transform, spec) for face in find_faces(image_bgr)
            ]


@contextmanager
def frame_cutter(cut: Cut, max_faces: int, spec: MacroSpec) -> Iterator[CutFrame]:
    """Cuts the faces of the frames of one stream, in the order of their time. Raises and is used
    as `picture_cutter`."""
    if cut == "landmarks":
        with FaceTracker(max_faces) as track_faces:
            yield lambda frame: [
                (face.face_id, cut_face(frame.image_bgr, face.transform, spec))
                for face in track_faces(frame)
            ]
    elif cut == "haar":
        find_boxes, identify = HaarFinder(), IdentityTracker()

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
    """The largest square in the middle of a picture, as a face."""
    height, width = gray.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return shrink(gray[top : top + side, left : left + side])
