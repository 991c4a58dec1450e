"""Magnified motion: as much as was asked for, and none where there is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from realtime.recording.magnification import Magnifier, tint
from realtime.types import Float32Array, UInt8Array

SIDE = 224
FACTOR = 6.0
PLACES = np.stack(
    np.meshgrid(np.arange(SIDE, dtype=np.float32), np.arange(SIDE, dtype=np.float32)), axis=2
)
BROW = np.exp(-((PLACES - (112, 80)) ** 2).sum(axis=2) / (2 * 22.0**2)).astype(np.float32)
"""Where it moves: a bump the size of a brow."""


@pytest.fixture(scope="module")
def skin_bgr() -> UInt8Array:
    """A picture with texture of all sizes, like skin and features."""
    rng = np.random.default_rng(3)
    layers = [
        cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)), (0, 0), sigma) * sigma * 2 * level
        for sigma, level in ((2, 12), (5, 25), (12, 40))
    ]
    gray = np.clip(128 + np.sum(layers, axis=0), 0, 255).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def whole() -> Float32Array:
    middle = np.abs(PLACES - SIDE / 2).max(axis=2)
    return np.asarray(np.clip((SIDE / 2 - middle) / 20, 0, 1), np.float32)


def displaced(image: UInt8Array, shift_xy: Float32Array) -> UInt8Array:
    start = (PLACES - shift_xy).astype(np.float32)
    moved = cv2.remap(
        image, start[..., 0], start[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(moved, np.uint8)


def up(pixels: float) -> Float32Array:
    """The brow raised."""
    return np.stack((np.zeros_like(BROW), -pixels * BROW), axis=2)


def difference(image: UInt8Array, other: UInt8Array) -> Float32Array:
    return np.asarray(np.abs(image.astype(np.float32) - other).mean(axis=2), np.float32)


def times_displaced(image: UInt8Array, still: UInt8Array, pixels: float) -> float:
    """Estimate the raise of the brow in units of `pixels`: the best of many true pictures."""
    times = np.arange(0, 10, 0.25)
    errors = [
        (difference(image, displaced(still, up(k * pixels))) * (BROW > 0.3)).mean() for k in times
    ]
    return float(times[int(np.argmin(errors))])


@pytest.mark.parametrize("pixels", [0.8, 1.5])
def test_small_motion_becomes_about_factor_times_as_large(
    skin_bgr: UInt8Array, whole: Float32Array, pixels: float
) -> None:
    moved = displaced(skin_bgr, up(pixels))
    assert times_displaced(moved, skin_bgr, pixels) == pytest.approx(1, abs=0.25)
    result = Magnifier(skin_bgr, whole, FACTOR).magnify(moved)
    assert times_displaced(result.image_bgr, skin_bgr, pixels) == pytest.approx(5.2, abs=1.2)


def test_motion_is_reported_where_it_is(skin_bgr: UInt8Array, whole: Float32Array) -> None:
    result = Magnifier(skin_bgr, whole, FACTOR).magnify(displaced(skin_bgr, up(1.5)))
    assert result.motion_px.max() == pytest.approx(1.5, abs=0.4)
    assert result.motion_px[150:200].max() < 0.2


def test_noise_is_not_magnified(skin_bgr: UInt8Array, whole: Float32Array) -> None:
    rng = np.random.default_rng(5)
    still, again = (
        np.clip(skin_bgr + rng.normal(0, 4, skin_bgr.shape), 0, 255).astype(np.uint8)
        for _ in range(2)
    )
    result = Magnifier(still, whole, FACTOR).magnify(again)
    assert difference(result.image_bgr, again).mean() < 1.0
    assert np.quantile(result.motion_px, 0.99) < 0.1


@pytest.mark.parametrize("turn_deg", [0.0, 0.8])
def test_motion_of_the_head_is_not_magnified(
    skin_bgr: UInt8Array, whole: Float32Array, turn_deg: float
) -> None:
    turn = np.deg2rad(turn_deg)
    x, y = (PLACES - SIDE / 2).transpose(2, 0, 1)
    head = np.stack((1.2 - turn * y, -0.7 + turn * x), axis=2).astype(np.float32)
    moved = displaced(skin_bgr, head)
    result = Magnifier(skin_bgr, whole, FACTOR).magnify(moved)
    assert difference(result.image_bgr, moved)[20:-20, 20:-20].mean() < 1.0


def test_an_expression_on_a_moving_head_is_magnified_alone(
    skin_bgr: UInt8Array, whole: Float32Array
) -> None:
    head = np.full((SIDE, SIDE, 2), (1.0, 0.5), np.float32)
    moved = displaced(displaced(skin_bgr, up(1.5)), head)
    result = Magnifier(skin_bgr, whole, FACTOR).magnify(moved)
    back = displaced(result.image_bgr, -head)
    assert times_displaced(back, skin_bgr, 1.5) == pytest.approx(5.2, abs=1.2)
    assert difference(back, skin_bgr)[160:200, 30:-30].mean() < 4.0


def test_nothing_moves_outside_the_face(skin_bgr: UInt8Array) -> None:
    face = np.zeros((SIDE, SIDE), np.float32)
    face[120:] = 1.0
    moved = displaced(skin_bgr, up(1.5))
    result = Magnifier(skin_bgr, face, FACTOR).magnify(moved)
    np.testing.assert_allclose(result.image_bgr[:60], moved[:60], atol=1)


def test_tint_colours_what_moves_and_nothing_else() -> None:
    image = np.full((4, 6, 3), 100, np.uint8)
    motion = np.zeros((4, 6), np.float32)
    motion[:, 3:] = 3.0
    tinted = tint(image, motion, (0, 0, 255))
    assert (tinted[:, :3] == 100).all()
    blue, _, red = tinted[0, 4]
    assert red > 120
    assert 60 < blue < 100
