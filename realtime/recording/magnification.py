"""Magnification of the motion between two pictures of a face, so that eyes can follow it.

Lagrangian motion magnification (Liu, Torralba, Freeman, Durand and Adelson, "Motion
Magnification", SIGGRAPH 2005): the motion of each point is measured, and the picture is drawn
again with every point moved further along it. It is measured by dense inverse search (Kroeger,
Timofte, Dai and Van Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016). The head's
motion is taken out first, and motion near the noise of the measurement stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from realtime.types import Float32Array, UInt8Array

Value = TypeVar("Value", np.uint8, np.float32)

NOISE_SIGMA_PX = 1.5
"""Blur before motion is measured, so that camera noise is not taken for motion."""

SMOOTH_SIGMA_PX = 5.0
"""Smoothing of the flow: skin moves together over about this distance, and changes over less are
noise."""

NOISE_FLOOR_PX = 0.2
"""Size of motion that is magnified half. Camera noise of 4 gray levels then leaves 99 of 100 places
below 0.02 pixels."""

EXTRA_LIMIT_PX = 12.0
"""Furthest that a point is moved; a face that is pulled apart shows nothing any more."""

TINT_SHARE = 0.26
"""Share of the colour at the strongest motion: it is seen on skin, and skin stays visible."""

TINT_PX = 1.5
"""Motion that gets most of the tint: a clear micro-expression."""

FIT_STRIDE_PX = 6
"""Distance of the points that the head's motion is fitted to."""

FIT_ROUNDS = 8
"""Rounds of reweighting, after which the fit no longer changes."""

FIT_SCALE_PX = 0.35
"""Distance from the fit from which, about, a point's motion counts as expression, not as the
head's."""

INVERSION_ROUNDS = 5
"""Rounds of the search for the place that a point came from."""


@dataclass(frozen=True, slots=True)
class Magnified:
    """One magnified picture.

    `image_bgr`: uint8 [H, W, 3]. `motion_px`: float32 [H, W], the measured motion in pixels
    before magnification, at the places of `image_bgr`.
    """

    image_bgr: UInt8Array
    motion_px: Float32Array


class Magnifier:
    """Magnifier of the motion since one picture, the reference.

    Used by one thread at a time.
    """

    def __init__(self, reference_bgr: UInt8Array, face: Float32Array, factor: float) -> None:
        """Take the reference picture.

        `reference_bgr`: uint8 [H, W, 3]. `face`: float32 [H, W], 1 where the face is, 0 where
        nothing shall move. `factor`: magnification of the motion.
        """
        self._reference = _gray(reference_bgr)
        self._face = face
        self._factor = factor
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        height, width = face.shape
        columns, rows = np.meshgrid(
            np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        )
        self._places_xy: Float32Array = np.stack((columns, rows), axis=2)

    def magnify(self, image_bgr: UInt8Array) -> Magnified:
        """Magnify the motion of a picture, uint8 [H, W, 3], since the reference."""
        flow: Float32Array = np.asarray(
            self._flow.calc(self._reference, _gray(image_bgr), np.zeros_like(self._places_xy)),
            np.float32,
        )
        own = flow - self._head_motion(flow)
        own = np.asarray(cv2.GaussianBlur(own, (0, 0), SMOOTH_SIGMA_PX), np.float32)
        size = np.sqrt((own * own).sum(axis=2))
        trust = self._face * size**2 / (size**2 + NOISE_FLOOR_PX**2)
        extra = (self._factor - 1.0) * trust[..., None] * own
        length = np.sqrt((extra * extra).sum(axis=2, keepdims=True))
        extra *= EXTRA_LIMIT_PX / np.hypot(EXTRA_LIMIT_PX, length)

        # A point of the reference lies at x + flow in the picture and goes to x + flow + extra.
        # Where the point that arrives at a place came from is found by fixed-point rounds.
        total = flow + extra
        start_xy = self._places_xy
        for _ in range(INVERSION_ROUNDS):
            start_xy = self._places_xy - _sample(total, start_xy)
        moved = _sample(extra, start_xy)
        found = np.asarray(_sample(trust * size, start_xy), np.float32)
        return Magnified(np.asarray(_sample(image_bgr, self._places_xy - moved), np.uint8), found)

    def _head_motion(self, flow: Float32Array) -> Float32Array:
        """Fit the similarity transform that most of the face follows; return it as flow [H, W, 2].

        Least squares, reweighted with the weights of Geman and McClure, so that parts with an
        expression get little weight.
        """
        step = slice(FIT_STRIDE_PX // 2, None, FIT_STRIDE_PX)
        middle = 0.5 * np.array(self._face.shape[::-1], np.float32)
        places = (self._places_xy[step, step].reshape(-1, 2) - middle).astype(np.float64)
        found = flow[step, step].reshape(-1, 2).astype(np.float64)
        on_face = self._face[step, step].reshape(-1).astype(np.float64)
        x, y = places.T
        ones, zeros = np.ones_like(x), np.zeros_like(x)
        basis = np.concatenate(
            [np.stack((ones, zeros, x, -y), axis=1), np.stack((zeros, ones, y, x), axis=1)]
        )
        target = np.concatenate([found[:, 0], found[:, 1]])
        fit = np.zeros(4)
        fit[:2] = np.median(found[on_face > 0.5], axis=0) if (on_face > 0.5).any() else 0.0
        for _ in range(FIT_ROUNDS):
            # Without BLAS: its threads would stay awake and take the other cores.
            apart = (target - (basis * fit).sum(axis=1)).reshape(2, -1)
            weight = on_face / (1.0 + (apart**2).sum(axis=0) / FIT_SCALE_PX**2) ** 2
            weights = np.concatenate([weight, weight])
            weighted = basis * weights[:, None]
            normal = np.einsum("ni,nj->ij", weighted, basis)
            towards = np.einsum("ni,n->i", weighted, target)
            fit = np.linalg.solve(normal + 1e-6 * np.eye(4), towards)
        along_x, along_y = (self._places_xy - middle).transpose(2, 0, 1)
        tx, ty, s, r = fit.astype(np.float32)
        return np.stack((tx + s * along_x - r * along_y, ty + r * along_x + s * along_y), axis=2)


def tint(
    image_bgr: UInt8Array, motion_px: Float32Array, colour_bgr: tuple[int, int, int]
) -> UInt8Array:
    """Tint a picture, uint8 [H, W, 3], more where it moves more.

    `motion_px`: float32 [H, W], the motion in pixels.
    """
    share = TINT_SHARE * (motion_px / np.hypot(motion_px, TINT_PX))[..., None]
    return np.asarray(image_bgr * (1.0 - share) + np.array(colour_bgr) * share, np.uint8)


def _gray(image_bgr: UInt8Array) -> UInt8Array:
    gray = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.GaussianBlur(gray, (0, 0), NOISE_SIGMA_PX), np.uint8)


def _sample(values: npt.NDArray[Value], places_xy: Float32Array) -> npt.NDArray[Value]:
    """Sample `values` [H, W, ...] at `places_xy` [H, W, 2], bilinear; the edge is repeated."""
    x, y = places_xy[..., 0], places_xy[..., 1]
    sampled = cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, values.dtype)
