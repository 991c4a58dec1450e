"""Attention of the network as a coloured heat map."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from realtime.types import Float32Array, UInt8Array

_HEAT_OPACITY = 0.6  # at the highest attention


@lru_cache(maxsize=1)
def heat_tables() -> tuple[UInt8Array, UInt8Array]:
    """Return, for each level of heat, the colour times its opacity, and 255 minus 255 times the
    opacity; both uint8 [256, 1, 3].

    The opacity grows with the root of the level, so that places of little attention stay clear and
    the middle can still be seen.
    """
    opacity = _HEAT_OPACITY * np.sqrt(np.linspace(0, 1, 256))[:, None, None]
    colours = heat_ramp(256).reshape(256, 1, 3) * opacity
    transparency = np.broadcast_to(255 * (1 - opacity), colours.shape)
    return colours.astype(np.uint8), transparency.round().astype(np.uint8)


@lru_cache(maxsize=8)
def heat_ramp(width: int) -> UInt8Array:
    """Return the colours of the heat map from low to high: uint8 [1, width, 3]."""
    levels = np.linspace(0, 255, max(1, width)).astype(np.uint8)[None]
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), np.uint8)


def heat_map(attention: Float32Array) -> npt.NDArray[np.uint8]:
    """Average attention over time and scale it to 0 to 255, from least to most.

    float32 [R, T', H', W'] -> uint8 [R, H', W'].
    """
    seen = attention.mean(axis=1)
    low, high = float(seen.min()), float(seen.max())
    return np.asarray(255 * (seen - low) / max(high - low, 1e-12), np.uint8)
