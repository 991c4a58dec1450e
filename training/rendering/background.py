"""Backgrounds behind simulated people."""

from __future__ import annotations

import cv2
import numpy as np

from realtime.types import Float32Array
from training.rendering.textures import noise, to_linear


def _muted(rng: np.random.Generator, light: tuple[int, int]) -> tuple[float, float, float]:
    """Draw a colour as rooms have it, sRGB."""
    hue = np.array([[[rng.integers(0, 180), rng.beta(1.2, 3) * 170, rng.integers(*light)]]])
    r, g, b = cv2.cvtColor(hue.astype(np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    return float(r), float(g), float(b)


def _box(
    picture: Float32Array,
    x: float,
    y: float,
    w: float,
    h: float,
    colour: tuple[float, float, float],
) -> None:
    """Fill a rectangle given in shares of the picture."""
    height, width = picture.shape[:2]
    first = (int(x * width), int(y * height))
    last = (int((x + w) * width), int((y + h) * height))
    cv2.rectangle(picture, first, last, colour, -1)


def make_background(rng: np.random.Generator, size_wh: tuple[int, int]) -> Float32Array:
    """Draw a wall with out-of-focus furniture, linear float32 [H, W, 3]."""
    width, height = size_wh
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = _muted(rng, (90, 235))
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(-0.1, 0.9), rng.uniform(-0.1, 0.5)
        match rng.integers(4):
            case 0:  # a picture on the wall
                w, h = rng.uniform(0.12, 0.35, 2)
                _box(picture, x, y, w, h, _muted(rng, (20, 250)))
                _box(picture, x + 0.015, y + 0.02, w - 0.03, h - 0.04, _muted(rng, (120, 255)))
                _box(picture, x + w * 0.3, y + h * 0.3, w * 0.4, h * 0.4, _muted(rng, (30, 220)))
            case 1:  # a shelf of books
                board = _muted(rng, (40, 160))
                for row in range(int(rng.integers(1, 4))):
                    top, at = y + 0.22 * row, x
                    while at < x + 0.35:
                        w, h = rng.uniform(0.012, 0.035), rng.uniform(0.1, 0.17)
                        _box(picture, at, top + 0.18 - h, w, h, _muted(rng, (30, 230)))
                        at += w + 0.004
                    _box(picture, x - 0.01, top + 0.18, 0.38, 0.02, board)
            case 2:  # a window or a lamp's light
                w, h = rng.uniform(0.15, 0.4), rng.uniform(0.3, 0.7)
                _box(picture, x, y, w, h, _muted(rng, (215, 255)))
                _box(picture, x + w / 2 - 0.01, y, 0.02, h, _muted(rng, (90, 200)))
            case _:  # a door, a curtain, a cupboard
                _box(picture, x, y, rng.uniform(0.15, 0.45), 1.5, _muted(rng, (50, 230)))
    blur_px = float(np.exp(rng.uniform(0, 2.2)) * width / 400)
    soft = cv2.GaussianBlur(picture, (0, 0), blur_px)
    gx, gy = rng.normal(0, 0.35, 2)
    v, u = np.linspace(-0.5, 0.5, height)[:, None], np.linspace(-0.5, 0.5, width)
    shade = np.exp(gx * u + gy * v)
    texture = 1 + 0.012 * noise(rng, size_wh, 2) + 0.01 * noise(rng, size_wh, 24)
    lit = rng.uniform(0.4, 1.0)
    wall: Float32Array = to_linear(soft) * (shade * texture * lit)[..., None].astype(np.float32)
    return wall
