"""Lens, light and exposure of simulated clips."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realtime.types import Float32Array, UInt8Array
from training.rendering import kernels
from training.simulation.scenario import ClipScenario

_GRAY_STEP = 0.0038
"""Linear light of one 8-bit step at mid gray: 2.2 * .5 ** 1.2 / 255."""


@dataclass(frozen=True, slots=True)
class Lighting:
    """Light of a clip, in linear RGB.

    `directions` float64 [2, 3]: towards the main light and a weaker light, x right, y up, z to the
    camera; `colours` float32 [2, 3]: of the two; `sky`, `ground` float32 [3]: the room's light
    from above and below."""

    directions: npt.NDArray[np.float64]
    colours: Float32Array
    sky: Float32Array
    ground: Float32Array


def lighting(rng: np.random.Generator) -> Lighting:
    """Draw a main light, a weaker light, and a room that reflects both."""
    side = rng.normal(0, 0.75)
    height = rng.uniform(0.05, 1.0)
    key = np.array([np.sin(side), np.tan(height) * 0.7, np.cos(side)])
    fill = np.array(
        [-np.sign(side) * rng.uniform(0.4, 1.4), rng.uniform(-0.2, 0.6), rng.uniform(0.1, 1)]
    )
    warmth = rng.normal(0, 0.07, 3)[:, None] * np.array([1.0, 0.05, -1.0])
    tint = np.exp(warmth)
    ambient = rng.uniform(0.25, 0.55)
    strength = rng.uniform(0.2, 0.8)
    total = rng.uniform(0.85, 1.2)
    lamp = (1 - ambient) * total
    colours = np.stack([lamp * tint[0], 0.6 * lamp * (1 - strength) * tint[1]])
    room = ambient * total * tint[2]
    return Lighting(
        directions=np.stack([v / np.linalg.norm(v) for v in (key, fill)]),
        colours=colours.astype(np.float32),
        sky=(room * rng.uniform(1.1, 1.4)).astype(np.float32),
        ground=(room * rng.uniform(0.45, 0.8)).astype(np.float32),
    )


class VirtualCamera:
    """Camera of a clip, which turns linear pictures into those that a webcam delivers."""

    def __init__(self, scenario: ClipScenario, rng: np.random.Generator) -> None:
        width, height = scenario.size_wh
        self._scenario = scenario
        self._rng = rng
        self._curve = kernels.tone_curve(scenario.gamma, scenario.contrast)
        v, u = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
        self._falloff = (1 - rng.uniform(0, 0.18) * (u * u + v * v) / 2).astype(np.float32)
        # Grain of sensors is soft after demosaicing, and stronger in colour.
        grain = rng.standard_normal((300, 380, 3), np.float32)
        grain = 0.6 * grain + 0.8 * grain.mean(2, keepdims=True)
        soft = cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(0.3, 0.7)))
        self._grain = (soft / soft.std()).astype(np.float32)
        self._noise = scenario.noise * _GRAY_STEP
        self._white = np.exp(rng.normal(0, 0.04, 3)).astype(np.float32)

    def expose(self, linear: Float32Array, gain: float) -> UInt8Array:
        """Expose a linear RGB picture: return uint8 BGR [H, W, 3].

        The linear picture may be larger by a factor of 2 or 4/3."""
        width, height = self._scenario.size_wh
        if linear.shape[1] != width:
            # Both average two pixels each way, at factors of 2 and of 4/3.
            half = linear.shape[1] == 2 * width
            way = cv2.INTER_AREA if half else cv2.INTER_LINEAR
            linear = cv2.resize(linear, (width, height), interpolation=way).astype(
                np.float32, copy=False
            )
        blurred = cv2.GaussianBlur(linear, (5, 5), self._scenario.blur_px).astype(
            np.float32, copy=False
        )
        at = (int(self._rng.integers(300)), int(self._rng.integers(380)))
        picture = kernels.develop(
            blurred,
            self._white * np.float32(gain),
            self._curve,
            self._falloff,
            self._grain,
            at,
            0.3 * self._noise,
            1.5 * self._noise,
        )
        if self._scenario.jpeg:
            quality = [cv2.IMWRITE_JPEG_QUALITY, self._scenario.jpeg]
            data = cv2.imencode(".jpg", picture, quality)[1]
            picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        return picture


def supersampling(face_px: float) -> float:
    """Return the rendered pixels for each pixel of the picture: small faces need more."""
    return 2.0 if face_px < 120 else 4 / 3 if face_px < 240 else 1.0
