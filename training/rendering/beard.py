"""Beards of simulated people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime.types import Float32Array
from training.rendering.textures import is_ear, noise, smooth, to_linear

BEARDS = ("stubble", "moustache", "goatee", "full")
"""Facial hair, from the least to the most; `none` for a shaved face."""

BEARD_ODDS = (0.65, 0.12, 0.06, 0.07, 0.10)
"""Odds of none and of each of `BEARDS`, among those who can grow one."""


@dataclass(frozen=True, slots=True)
class Beard:
    """Facial hair.

    `density` 0..1: share of the skin that it hides; `length_cm`: how far it stands off;
    `overhang_cm`: how far the moustache reaches over the upper lip; `corners` 0..1: how far it
    closes in on the corners of the mouth; `moustache`: 1, or 0 for a goatee that has none."""

    style: str
    density: float
    length_cm: float
    overhang_cm: float
    corners: float
    moustache: float


def draw_beard(rng: np.random.Generator, shadow: float) -> Beard:
    """Draw a beard, or the `shadow` (a density) that shaving leaves."""
    style = str(rng.choice(("none", *BEARDS), p=BEARD_ODDS))
    dense, long, over, corners, round_ = rng.random(5)
    match style:
        case "none":
            return Beard(style, shadow, 0.0, 0.0, 0.0, 1.0)
        case "stubble":
            return Beard(style, 0.3 + 0.25 * dense, 0.0, 0.0, 0.3 * corners, 1.0)
        case "moustache":
            return Beard(style, 0.75 + 0.2 * dense, 0.12 + 0.3 * long, 0.55 * over, corners, 1.0)
        case "goatee":
            whole = 1.0 if round_ < 0.75 else 0.0
            return Beard(style, 0.7 + 0.25 * dense, 0.1 + 0.7 * long, 0.35 * over, corners, whole)
        case _:
            return Beard(style, 0.75 + 0.2 * dense, 0.15 + 1.1 * long**2, 0.5 * over, corners, 1.0)


def beard_cover(beard: Beard, points: Float32Array) -> Float32Array:
    """Return the share of the hair that grows, 0..1, at points [..., 3] of the mean face."""
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    front = smooth((z - 5.0) / 2.0)
    # The lips stay free, but for what hangs over them and creeps over their corners.
    lips = smooth((np.hypot(x / (2.6 - 0.55 * beard.corners), (y + 3.53) / 0.93) - 0.85) / 0.2)
    top = np.interp(x, [0, 1.3, 2.2, 3.1, 3.6], [-1.35, -1.45, -2.0, -3.0, -3.4])
    end = np.interp(x, [0, 1.2, 2.2, 3.2], [-2.8, -2.75, -3.15, -4.3]) - beard.overhang_cm
    moustache = smooth((top - y) / 0.35) * smooth((y - end) / 0.25) * smooth((3.5 - x) / 0.7)
    moustache *= front * beard.moustache
    chin = smooth((-5.05 - y) / 0.6) * smooth((2.9 - x) / 0.7) * front
    strap = smooth((1.05 - np.abs(x - 2.9 - 0.12 * (y + 4.0))) / 0.9) * smooth((-2.9 - y) / 0.7)
    strap *= front
    patch = smooth((0.55 - x) / 0.35) * smooth((-4.5 - y) / 0.25) * front
    below = smooth((y + 10.0) / 1.6)
    match beard.style:
        case "moustache":
            cover = moustache
        case "goatee":
            frame = strap * beard.moustache
            cover = np.maximum(moustache, lips * below * np.maximum(np.maximum(chin, patch), frame))
        case _:
            edge = np.interp(x, [0, 1.2, 2.8, 4.5, 6.5, 8.0], [-1.35, -1.45, -2.9, -3.6, -2.0, 2.5])
            cheeks = smooth((edge - y) / 0.9) * below * smooth((z + 0.5) / 1.5)
            bare = smooth((np.hypot(x / 1.9, (y + 4.95) / 0.4) - 0.7) / 0.5)
            cover = np.maximum(moustache, cheeks * lips * np.maximum(0.4 + 0.6 * bare, patch))
    return (cover * ~is_ear(points)).astype(np.float32)


def beard_lift_cm(beard: Beard, points: Float32Array) -> Float32Array:
    """Return how far the hair stands off the skin at points [..., 3] of the mean face.

    It does so most at the chin."""
    x, y = np.abs(points[..., 0]), points[..., 1]
    share = 0.35 + 0.65 * smooth((-4.8 - y) / 2.5) * smooth((6.0 - x) / 3.0)
    if beard.style == "moustache":
        share = np.ones_like(x)
    lift: Float32Array = beard_cover(beard, points) * share * np.float32(beard.length_cm)
    return lift


def paint_beard(
    rng: np.random.Generator,
    albedo: Float32Array,
    gloss: Float32Array,
    points: Float32Array,
    beard: Beard,
    hair_rgb: Float32Array,
    texel_cm: float,
) -> None:
    """Paint the beard over `albedo` [H, W, 3] and `gloss` [H, W], of skin at `points`."""
    if beard.density == 0:
        return
    size = (points.shape[1], points.shape[0])
    hairs = noise(rng, size, max(1.0, 0.07 / texel_cm), 3.0)
    locks = noise(rng, size, max(1.0, 0.25 / texel_cm), 3.0)
    # Hairs thin out towards the edge of the beard instead of fading.
    cover = beard_cover(beard, points)
    cover = np.clip(cover * (1 + 0.35 * (1 - cover) * hairs), 0, 1)
    cover *= np.clip(beard.density * (0.92 + 0.1 * hairs), 0, 0.97)
    shade = np.exp(0.28 * hairs + 0.16 * locks) if beard.length_cm else np.exp(0.2 * hairs)
    hair = to_linear(np.minimum(hair_rgb, 175) * 0.9) * shade[..., None]
    albedo += cover[..., None] * (hair - albedo)
    gloss *= 1 - 0.6 * cover
