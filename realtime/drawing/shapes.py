"""Plates, brackets and tints, drawn into BGR pictures."""

from __future__ import annotations

import cv2
import numpy as np

from realtime.drawing.palette import SHADOW, Bgr
from realtime.types import UInt8Array

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels, right and bottom outside."""

SUBPIXEL_BITS = 4
"""Fractional bits of coordinates for OpenCV: marks of ten pixels look ragged on whole pixels."""

# A plate lets a quarter of the scene through: over pure white it is 71 of 255, on which white
# text has a contrast of 8.8 : 1 and pale text 6.7 : 1.
_PLATE_SHARE = 0.24
_PLATE_LEVEL = 10.0


def view(image: UInt8Array, box: Box) -> UInt8Array:
    """Return the part of the image inside the box; empty where they do not meet."""
    left, top, right, bottom = (max(0, value) for value in box)
    return image[top:bottom, left:right]


def fill(image: UInt8Array, box: Box, colour: Bgr) -> None:
    """Fill the box with a colour."""
    view(image, box)[:] = colour


def plate(image: UInt8Array, box: Box, share: float = _PLATE_SHARE) -> None:
    """Darken the box so that a `share` of the scene shines through."""
    target = view(image, box)
    if target.size:
        cv2.convertScaleAbs(target, dst=target, alpha=share, beta=_PLATE_LEVEL)


def tint(target: UInt8Array, colour: Bgr, share: float) -> None:
    """Mix a share of the colour into the pixels."""
    layer = np.empty_like(target)
    layer[:] = colour
    cv2.addWeighted(target, 1 - share, layer, share, 0, dst=target)


def paint_brackets(image: UInt8Array, box: Box, colour: Bgr, line: int) -> None:
    """Draw the corners of a box, with a dark rim that makes them visible on a bright scene."""
    left, top, right, bottom = box
    arm = max(4 * line, (right - left) // 7)
    for rim, ink in ((1, SHADOW), (0, colour)):
        for x, side in ((left, 1), (right, -1)):
            for y, down in ((top, 1), (bottom, -1)):
                across = sorted((x, x + side * arm))
                along = sorted((y, y + down * arm))
                thick_x = sorted((x, x + side * line))
                thick_y = sorted((y, y + down * line))
                fill(image, _grown(across, thick_y, rim), ink)
                fill(image, _grown(thick_x, along, rim), ink)


def _grown(xs: list[int], ys: list[int], rim: int) -> Box:
    return (xs[0] - rim, ys[0] - rim, xs[1] + rim, ys[1] + rim)
