"""Hiding of faces in videos, whose expressions can still be followed by the scores beside them."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

from realtime.types import Face, UInt8Array, Update

CELLS = 7
"""Mosaic cells across a face. People still recognise familiar faces at 16 and more (Bachmann 1991,
"Identification of spatially quantised tachistoscopic images of faces": from about 15 on)."""

PICTURE_CELLS = 24
"""Mosaic cells across a whole hidden picture: a face that fills a third of it gets 8."""

MARGIN = 0.35
"""Share of the mesh's box added on each side, so that hair, ears and chin are hidden, too."""

HELD_S = 10.0
"""Seconds for which a face that is no longer found, turned away or behind a hand, may be anywhere
in the picture; after that it has left."""


class FaceBlur:
    """Filter that hides the faces of one stream of updates, in order.

    Where no face is found, or fewer than shortly before, the whole picture is hidden: a face that
    the tracker misses must not be shown. Faces beyond those that the monitor follows are not known,
    and not hidden. Each stream needs its own filter; used by one thread.
    """

    def __init__(self) -> None:
        self._seen_s: dict[int, float] = {}

    def __call__(self, update: Update) -> Update:
        """Return the same update with a new picture in which faces are hidden."""
        now_s = update.frame.t_s
        self._seen_s |= {face.face_id: now_s for face in update.faces}
        self._seen_s = {
            face_id: t_s for face_id, t_s in self._seen_s.items() if now_s - t_s <= HELD_S
        }
        image_bgr = update.frame.image_bgr
        if not update.faces or len(update.faces) < len(self._seen_s):
            hidden = _mosaic(image_bgr, PICTURE_CELLS)
        else:
            hidden = image_bgr.copy()
            for face in update.faces:
                _hide(hidden, face)
        return dataclasses.replace(
            update, frame=dataclasses.replace(update.frame, image_bgr=hidden)
        )


def _hide(image_bgr: UInt8Array, face: Face) -> None:
    left, top, right, bottom = face.box_xyxy
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)
    height, width = image_bgr.shape[:2]
    x0, y0 = max(0, math.floor(left - across)), max(0, math.floor(top - down))
    x1, y1 = min(width, math.ceil(right + across)), min(height, math.ceil(bottom + down))
    if x0 >= x1 or y0 >= y1:
        return  # it lies outside of the picture
    part = image_bgr[y0:y1, x0:x1]
    cells = max(1, round(CELLS * (x1 - x0) / max(1.0, right - left)))
    part[:] = _mosaic(part, cells)


def _mosaic(image_bgr: UInt8Array, cells: int) -> UInt8Array:
    """Return the picture in `cells` cells across, each the mean of the pixels that it covers."""
    height, width = image_bgr.shape[:2]
    down = max(1, round(cells * height / width))
    small = cv2.resize(image_bgr, (cells, down), interpolation=cv2.INTER_AREA)
    mosaic = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(mosaic, np.uint8)
