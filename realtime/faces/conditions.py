"""Conditions under which a face is seen: the turn of the head, the size of the face, its light.

Values outside of the bounds here make scores doubtful, and the user is warned.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from realtime.types import Conditions, Face, Frame, UInt8Array

TURNED_DEG = 25.0
"""Largest yaw or pitch without a warning.

Beyond it the shipped model was never tested (`weights/kilas.md`), and brow or mouth are
foreshortened by a tenth and more.
"""

SMALL_PX = 60.0
"""Smallest width of a face without a warning, about 80 pixels high.

Smaller faces are smaller than any that the shipped model was tested on (`weights/kilas.md`).
"""

DARK, BRIGHT = 50.0, 220.0
"""Bounds of the mean gray of a face.

Below DARK, an 8-bit camera's noise is of the size of the face's texture; above BRIGHT, skin begins
to be white.
"""

UNEVEN = 0.3
"""Largest difference of the two halves' light over their sum without a warning.

At this value one half has about twice the light of the other.
"""

# Points of the mesh that expressions hardly move, and where they are on a head, in cm: x to the
# right of the picture, y up, z towards the camera. Vertices of the mean face of USC-ICT FaceKit.
_HEAD_POINTS = (
    # mesh point, x, y, z
    (127, -7.47, 3.13, 2.71),  # temples
    (356, 7.47, 3.13, 2.71),
    (168, 0.00, 3.74, 10.73),  # bridge and tip of the nose
    (197, 0.00, 2.63, 11.52),
    (5, 0.00, 1.61, 12.31),
    (4, 0.00, 0.41, 13.07),
    (2, 0.00, -1.20, 11.57),  # underside of the nose
    (33, -4.46, 3.43, 8.60),  # eye corners
    (133, -1.84, 3.25, 9.20),
    (362, 1.84, 3.25, 9.20),
    (263, 4.46, 3.43, 8.60),
)
_POINTS = np.array([point for point, *_ in _HEAD_POINTS])
_HEAD = np.array([place for _, *place in _HEAD_POINTS])
_HEAD -= _HEAD.mean(axis=0)
_SOLVE = np.linalg.pinv(_HEAD)

_INNER = 0.15
"""Share of a face's box that is cut off on each side, so that no background is measured."""

_SAMPLES = 24
"""Number of pixels that are read along each side.

Their mean is within a few gray levels of that of all pixels, in a hundredth of the time.
"""


def measure(frame: Frame, face: Face) -> Conditions:
    """Measure the conditions of one face of a frame.

    The head's turn is that of the best fitting mean head under scaled orthography (DeMenthon and
    Davis 1995, "Model-based object pose in 25 lines of code", its first step): good enough to
    detect a turned head, some degrees off for any one person.
    """
    yaw_deg, pitch_deg, roll_deg = head_pose(face.points_xy)
    left, _, right, _ = face.box_xyxy
    brightness, unevenness = _light(frame.image_bgr, face.box_xyxy)
    return Conditions(yaw_deg, pitch_deg, roll_deg, right - left, brightness, unevenness)


def head_pose(points_xy: npt.NDArray[np.float32]) -> tuple[float, float, float]:
    """Return yaw, pitch and roll in degrees of a face mesh, float32 [468, 2].

    Signs as in `Conditions`.
    """
    xy = points_xy[_POINTS].astype(np.float64)
    xy -= xy.mean(axis=0)
    # Not by BLAS or LAPACK: they wake threads, for sums that take microseconds.
    right, down = (_SOLVE[:, np.newaxis] * xy.T).sum(axis=2).T.tolist()
    up = [-value for value in down]  # as on the head
    # The nearest pair of right angles and one length is (A A')^-1/2 A, in closed form for two rows.
    a, b, c = _dot(right, right), _dot(right, up), _dot(up, up)
    root = math.sqrt(max(a * c - b * b, 0.0))
    scale = root * math.sqrt(a + c + 2 * root)
    if scale == 0.0:
        return 0.0, 0.0, 0.0  # all points on one line
    right, up = (
        [((c + root) * x - b * y) / scale for x, y in zip(right, up, strict=True)],
        [((a + root) * y - b * x) / scale for x, y in zip(right, up, strict=True)],
    )
    # Where the nose points is the third column; its last part is that of right x up.
    forward = right[0] * up[1] - right[1] * up[0]
    return (
        math.degrees(math.atan2(right[2], forward)),
        math.degrees(math.asin(min(1.0, max(-1.0, up[2])))),
        math.degrees(math.atan2(-up[0], up[1])),
    )


def _dot(one: list[float], other: list[float]) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))


def warnings(conditions: Conditions) -> tuple[str, ...]:
    """Return a warning with a remedy for each condition out of bounds, the worst first."""
    messages = []
    if max(abs(conditions.yaw_deg), abs(conditions.pitch_deg)) > TURNED_DEG:
        messages.append("head turned away: face the camera")
    if conditions.face_px < SMALL_PX:
        messages.append("face too small: come nearer")
    if conditions.brightness < DARK:
        messages.append("too dark: more light from the front")
    elif conditions.brightness > BRIGHT:
        messages.append("too bright: less light")
    if conditions.unevenness > UNEVEN:
        messages.append("light from one side: turn to the light")
    return tuple(messages)


def _light(
    image_bgr: UInt8Array, box_xyxy: tuple[float, float, float, float]
) -> tuple[float, float]:
    """Return the brightness and the unevenness of the inner part of a box."""
    left, top, right, bottom = box_xyxy
    height, width = image_bgr.shape[:2]
    cut_x, cut_y = _INNER * (right - left), _INNER * (bottom - top)
    xs = np.linspace(left + cut_x, right - cut_x, _SAMPLES).astype(int)
    ys = np.linspace(top + cut_y, bottom - cut_y, _SAMPLES).astype(int)
    is_left = xs < 0.5 * (left + right)
    inside_x, inside_y = (xs >= 0) & (xs < width), (ys >= 0) & (ys < height)
    xs, is_left, ys = xs[inside_x], is_left[inside_x], ys[inside_y]
    if not len(xs) or not len(ys):
        return 0.0, 0.0
    # Green alone is gray enough here: it has six tenths of it.
    columns = image_bgr[ys[:, np.newaxis], xs, 1].mean(axis=0)
    brightness = float(columns.mean())
    if is_left.all() or not is_left.any():
        return brightness, 0.0  # the other half lies outside of the picture
    a, b = float(columns[is_left].mean()), float(columns[~is_left].mean())
    return brightness, abs(a - b) / max(a + b, 1.0)
