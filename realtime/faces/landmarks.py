"""Mesh points of a face: the 68-point view, checks, and conversions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realtime.faces.face_landmarker import POINTS

VIEW_68: tuple[int, ...] = (
    # jaw from left ear over chin to right ear (0-16)
    *(127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows, left and right (17-26)
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),  # bridge and underside of the nose (27-35)
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes (36-47)
    *(61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91),  # outer lips (48-59)
    *(78, 81, 13, 311, 308, 402, 14, 178),  # inner lips (60-67)
)
"""Mesh points in the order of the 68-point scheme of iBUG 300-W.

Left and right are those of the image.
"""

_VIEW_68 = np.array(VIEW_68)

Box = tuple[float, float, float, float]
"""Box of a face: left, top, right and bottom in pixels."""


def view_68(points_xy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the 68-point view of one mesh: [478, 2] -> [68, 2], in the order of iBUG 300-W."""
    if points_xy.shape != (POINTS, 2):
        raise ValueError(f"expected points_xy as [{POINTS}, 2], found {list(points_xy.shape)}")
    return points_xy.take(_VIEW_68, axis=0)


def check_frame(image_bgr: npt.NDArray[np.uint8]) -> None:
    """Check that an image is uint8 [height, width, 3]; raise ValueError if not."""
    if image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.dtype != np.uint8:
        raise ValueError(
            "expected image_bgr as uint8 [height, width, 3], "
            f"found {image_bgr.dtype} {list(image_bgr.shape)}"
        )


def to_pixels(points: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.float32]:
    """Return the points of a `FoundFace` in pixels of an image of this size, float32 [478, 2]."""
    return points[:, :2] * np.array((width, height), np.float32)


def bounding_box(points_xy: npt.NDArray[np.float32]) -> tuple[float, float, float, float]:
    """Return the box of the points: left, top, right, bottom."""
    x, y = points_xy.T
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())
