"""Alignment of a face: a steady similarity transform from a frame to the aligned 128 x 128 face."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Points that expressions do not move, and where they lie on the aligned face: outer eye corners
# 80 px apart at y = 38 around x = 64, the rest in the proportions of an average face. The nose
# varies more between people than the eyes do, so it weighs less; it steadies the estimate.
_RIGID_POINTS = (
    # mesh point, x, y, weight
    (33, 24.0, 38.0, 1.0),  # outer eye corners
    (263, 104.0, 38.0, 1.0),
    (133, 48.5, 39.5, 0.5),  # inner eye corners
    (362, 79.5, 39.5, 0.5),
    (168, 64.0, 36.0, 0.5),  # bridge of the nose
    (6, 64.0, 43.0, 0.5),
    (2, 64.0, 79.5, 0.25),  # underside of the nose
)

# All in pixels of the aligned face and seconds.
# A held transform is kept while the head is estimated to be this near to where it was held.
_HOLD_PX = 1.5
# The head is still when its estimate has moved by no more than `_STILL_PX` for `_STILL_S`.
_STILL_PX = 0.75
_STILL_S = 0.25
# What is left of the hold when a move begins is faded out with this time constant.
_RELEASE_S = 0.1
# The estimate averages landmark scatter over `_CALM_S`, and faster the further the landmarks are
# from it: `_SCATTER_PX` is a distance that scatter alone hardly reaches. This bounds its lag.
_CALM_S = 0.15
_SCATTER_PX = 0.5
# Rotation and scale are judged by what they do at this distance from the centre (eye corners).
_LEVER_PX = 40.0


class _Similarity(NamedTuple):
    """Position of the aligned face in the image, both complex (x + iy).

    `centre`: pixels of the image under `_TEMPLATE_CENTRE`; `scale`: pixels of the image for a pixel
    of the aligned face, turned by the angle of the head. Both are linear in the landmarks, so
    averaging them is averaging the landmarks.
    """

    centre: complex
    scale: complex

    def distance_px(self, other: _Similarity) -> float:
        """Return the largest shift of an eye corner between the two, in aligned pixels."""
        shift = abs(self.centre - other.centre) + _LEVER_PX * abs(self.scale - other.scale)
        return shift / abs(other.scale)

    def moved_to(self, other: _Similarity, part: float) -> _Similarity:
        """Return the similarity that lies `part`, 0 to 1, of the way to `other`."""
        return _Similarity(
            self.centre + part * (other.centre - self.centre),
            self.scale + part * (other.scale - self.scale),
        )

    def to_transform(self) -> npt.NDArray[np.float32]:
        """Return the affine map from image to aligned face, float32 [2, 3]."""
        turn = 1 / self.scale
        shift = _TEMPLATE_CENTRE - turn * self.centre
        return np.array(
            [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32
        )


_RIGID = np.array([point for point, *_ in _RIGID_POINTS])
_TEMPLATE = np.array([complex(x, y) for _, x, y, _ in _RIGID_POINTS])
_WEIGHTS = np.array([weight for *_, weight in _RIGID_POINTS])
_WEIGHTS /= _WEIGHTS.sum()
_TEMPLATE_CENTRE = complex(_WEIGHTS @ _TEMPLATE)
# Least squares for z = centre + scale * (template - its centre), solved once.
_ARMS = _WEIGHTS * np.conj(_TEMPLATE - _TEMPLATE_CENTRE)
_ARMS /= (_ARMS * (_TEMPLATE - _TEMPLATE_CENTRE)).sum()


class StableAlignment:
    """Alignment of one face whose crop stands still while the head does.

    Landmarks scatter by fractions of a pixel, and a crop that follows them looks like a face that
    moves. So the similarity that is fitted to the rigid points in each frame is averaged
    (`_CALM_S`), and the transform of the previous frame is returned unchanged while the average
    stays near it (`_HOLD_PX`). Once the head leaves that band, the transform follows the average,
    whose lag shrinks as the head gets faster, and it does so until the head has been still for a
    while (`_STILL_S`): one smooth move from hold to hold, and no jumps between.
    """

    def __init__(self) -> None:
        self._t_s = math.inf  # so that the first call finds time running backwards
        self._estimate = self._output = self._still = _Similarity(0, 1)
        self._still_since_s = 0.0
        self._held: npt.NDArray[np.float32] | None = None  # None: following

    def __call__(self, t_s: float, points_xy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the transform, float32 [2, 3], image -> aligned face, for the points at `t_s`.

        While the head is still, the very array of the call before is returned. When time runs
        backwards, the face is aligned anew.
        """
        xy = points_xy[_RIGID].astype(np.float64)
        z = xy[:, 0] + 1j * xy[:, 1]
        measured = _Similarity(complex(_WEIGHTS @ z), complex(_ARMS @ z))
        elapsed_s = t_s - self._t_s
        self._t_s = t_s
        if elapsed_s < 0:
            self._estimate = self._output = self._still = measured
            self._still_since_s = t_s
            self._held = None
            return measured.to_transform()

        before = self._estimate
        excess = measured.distance_px(before) / _SCATTER_PX
        average_s = _CALM_S / (1 + excess * excess)
        self._estimate = before.moved_to(measured, 1 - math.exp(-elapsed_s / average_s))

        if self._estimate.distance_px(self._still) > _STILL_PX:
            self._still, self._still_since_s = self._estimate, t_s
        if self._held is not None:
            if self._estimate.distance_px(self._output) <= _HOLD_PX:
                return self._held
            # Also restarts the wait, so that a slow drift does not stop the move half-way.
            self._held = None
            self._still, self._still_since_s = self._estimate, t_s
        # Carried along with the estimate, minus the part of the distance to it that fades.
        offset = self._output.distance_px(before)
        part = math.exp(-elapsed_s / _RELEASE_S)
        if offset > _HOLD_PX:
            part *= _HOLD_PX / offset
        self._output = _Similarity(
            self._estimate.centre + part * (self._output.centre - before.centre),
            self._estimate.scale + part * (self._output.scale - before.scale),
        )
        transform = self._output.to_transform()
        if t_s - self._still_since_s >= _STILL_S:
            self._held = transform
        return transform
