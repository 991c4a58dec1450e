"""Tools to paint textures: colours in linear light, soft steps, smooth noise."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realtime.types import Float32Array


def to_linear(srgb: npt.ArrayLike) -> Float32Array:
    """Convert sRGB 0..255 to linear light 0..1."""
    return ((np.asarray(srgb, np.float32) / 255.0) ** 2.2).astype(np.float32)


def ramp(table: Float32Array, at: float) -> Float32Array:
    """Interpolate the colour [3] at 0..1 of a table [N, 3] of colours."""
    x = np.linspace(0, 1, len(table))
    return np.array([np.interp(at, x, table[:, c]) for c in range(3)], np.float32)


def smooth(x: npt.ArrayLike) -> Float32Array:
    """Return a soft step from 0 at x = 0 to 1 at x = 1."""
    t = np.clip(np.asarray(x, np.float32), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def noise(
    rng: np.random.Generator, size_wh: tuple[int, int], cell: float, stretch: float = 1.0
) -> Float32Array:
    """Draw smooth unit-variance noise.

    Its features are `cell` texels wide and `stretch` times as high."""
    width, height = size_wh
    tall = cell * stretch
    coarse = rng.standard_normal((int(height / tall) + 3, int(width / cell) + 3), np.float32)
    if cell <= 1 and stretch == 1:
        return coarse[:height, :width]
    grown = cv2.resize(coarse, None, fx=cell, fy=tall, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(grown[:height, :width]) * np.float32(1.3)


def is_ear(points: Float32Array) -> npt.NDArray[np.bool_]:
    """Return True for the points [..., 3] of the mean face, in cm, that belong to an ear."""
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    inside: npt.NDArray[np.bool_] = (x > 7.1) & (y > -2.6) & (y < 4.4) & (z > -4.0) & (z < 2.2)
    return inside
