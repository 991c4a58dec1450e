"""Points of a face's mesh, in pictures and on the aligned face."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realtime.types import Face

EYE_CORNERS = [33, 263]
EYE_CORNERS_ALIGNED = np.array([[24.0, 38.0], [104.0, 38.0]])
FLOAT_XY = npt.NDArray[np.float64]

RATES_HZ = (15.0, 30.0, 120.0)


def aligned(face: Face, points: list[int]) -> FLOAT_XY:
    found: FLOAT_XY = face.points_xy[points] @ face.transform[:, :2].T + face.transform[:, 2]
    return found
