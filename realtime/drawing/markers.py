"""The classes' marks, drawn on pictures."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from realtime.drawing.shapes import SUBPIXEL_BITS
from realtime.types import UInt8Array


@lru_cache(maxsize=8)
def _outline(mark: str) -> npt.NDArray[np.float64]:
    """Return the corners of a mark of radius 1, float64 [n, 2], y downwards."""
    if mark == "▲":
        return np.array([(0, -1), (0.95, 0.75), (-0.95, 0.75)])
    if mark == "▼":
        return np.array([(0, 1), (0.95, -0.75), (-0.95, -0.75)])
    if mark == "◆":
        return np.array([(0, -1), (1, 0), (0, 1), (-1, 0)], np.float64)
    if mark == "■":
        return np.array([(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)])
    if mark == "▬":
        return np.array([(-0.9, -0.25), (0.9, -0.25), (0.9, 0.25), (-0.9, 0.25)])
    if mark == "★":
        angles = np.arange(10) * np.pi / 5 - np.pi / 2
        radii = np.where(np.arange(10) % 2 == 0, 1.1, 0.48)
        return np.stack((radii * np.cos(angles), radii * np.sin(angles)), axis=1)
    if mark == "✚":
        tip, arm = 1.0, 0.35
        quarter = np.array([(arm, -tip), (arm, -arm), (tip, -arm)])
        turn = np.array([(0, 1), (-1, 0)])  # a quarter turn
        return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    raise ValueError(f"{mark!r} is not a mark of the palette")


def paint_mark(
    image: UInt8Array,
    mark: str,
    x: float,
    y: float,
    radius: float,
    colour_bgr: tuple[int, int, int],
) -> None:
    """Draw a mark of `palette.class_markers` on a picture, uint8 [height, width, 3].

    Centred on (x, y); all in pixels. Raises ValueError for any other mark.
    """
    if mark == "●":
        pixel = 1 << SUBPIXEL_BITS
        centre = (round(x * pixel), round(y * pixel))
        radius_bits = round(radius * pixel)
        cv2.circle(image, centre, radius_bits, colour_bgr, -1, cv2.LINE_AA, SUBPIXEL_BITS)
        return
    points = (_outline(mark) * radius + (x, y)) * (1 << SUBPIXEL_BITS)
    cv2.fillPoly(image, [points.round().astype(np.int32)], colour_bgr, cv2.LINE_AA, SUBPIXEL_BITS)
