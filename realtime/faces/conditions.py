"""Conditions under which a face is seen: the turn of the head, the size of the face, its light.

Values outside of the bounds here make scores doubtful, and the user is warned.
"""

from __future__ import annotations

import math

import numpy as np

from realtime.types import Conditions, Face, Float32Array, Frame, UInt8Array

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

BLACK = 24
"""Brightest value of an image that shows nothing; a camera's noise in the dark stays below."""

PLAIN = 2.0
"""Largest standard deviation of an image of a single colour, with a camera's noise."""

_INNER = 0.15
"""Share of a face's box that is cut off on each side, so that no background is measured."""

_SAMPLES = 24
"""Number of pixels that are read along each side.

Their mean is within a few gray levels of that of all pixels, in a hundredth of the time.
"""


def measure(frame: Frame, face: Face) -> Conditions:
    """Measure the conditions of one face of a frame.

    The head's turn is that of MediaPipe's pose, seen from the camera.
    """
    yaw_deg, pitch_deg, roll_deg = head_pose(face.head)
    left, _, right, _ = face.box_xyxy
    brightness, unevenness = _light(frame.image_bgr, face.box_xyxy)
    return Conditions(yaw_deg, pitch_deg, roll_deg, right - left, brightness, unevenness)


def head_pose(head: Float32Array) -> tuple[float, float, float]:
    """Return yaw, pitch and roll in degrees of a head pose, float32 [4, 4] (see `Face.head`).

    Signs as in `Conditions`.
    """
    (_, _, forward_x), (right_y, up_y, forward_y), (_, _, forward_z) = head[:3, :3].tolist()
    length = math.sqrt(forward_x**2 + forward_y**2 + forward_z**2) or 1.0  # the head's scale
    return (
        math.degrees(math.atan2(forward_x, forward_z)),
        math.degrees(math.asin(min(1.0, max(-1.0, forward_y / length)))),
        math.degrees(math.atan2(-right_y, up_y)),
    )


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


def image_warning(image_bgr: UInt8Array) -> str:
    """Return a warning with a remedy if an image, uint8 [height, width, 3], can show no face.

    Empty if it can.
    """
    height, width = image_bgr.shape[:2]
    seen = image_bgr[:: max(1, height // _SAMPLES), :: max(1, width // _SAMPLES)]
    if seen.max() <= BLACK:
        return "the picture is black: open the lens cover, or make light"
    if seen.std(axis=(0, 1)).max() <= PLAIN:
        return "the picture has a single colour: check the camera"
    return ""


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
