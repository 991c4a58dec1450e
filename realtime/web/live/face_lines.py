"""Drawing of a face on the page: lines over its picture, regions, heat map."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from realtime.drawing.heat_map import heat_map
from realtime.spec import LAYOUTS, ModelSpec
from realtime.types import Face, Float32Array, State

# Points of MediaPipe's mesh along each line, in order; a closed line ends where it began.
_LINES = tuple(
    np.array([int(point) for point in points.split()])
    for points in (
        # oval of the face, from the hair line
        "10 109 67 103 54 21 162 127 234 93 132 58 172 136 150 149 176 148 152 377 400 378 379 "
        "365 397 288 361 323 454 356 389 251 284 332 297 338 10",
        # brows: lower and upper edge of each
        "46 53 52 65 55",
        "107 66 105 63 70",
        "276 283 282 295 285",
        "336 296 334 293 300",
        # eyes
        "33 246 161 160 159 158 157 173 133 155 154 153 145 144 163 7 33",
        "263 249 390 373 374 380 381 382 362 398 384 385 386 387 388 466 263",
        # lips: outer and inner edge
        "61 185 40 39 37 0 267 269 270 409 291 375 321 405 314 17 84 181 91 146 61",
        "78 191 80 81 82 13 312 311 310 415 308 324 318 402 317 14 87 178 88 95 78",
    )
)
_POINTS = np.concatenate(_LINES)
_ENDS = np.cumsum([2 * len(line) for line in _LINES])[:-1]  # in a list of x, y, x, y, ...


def draw_face(
    spec: ModelSpec, face: Face, state: State, attention: Float32Array | None
) -> dict[str, Any]:
    """Return a face as it stands in an update's `faces`; in pixels of the frame, to a tenth.

    `lines`: polylines, each [x, y, x, y, ...]; `regions`: the four corners of each region in the
    same way. `attention`: float32 [R, T', H', W'] of the face's newest scores; None: no heat map.
    """
    outline = _tenths(face.points_xy[_POINTS])
    starts, ends = (0, *_ENDS), (*_ENDS, len(outline))
    return {
        "id": face.face_id,
        "state": state,
        "box": _tenths(np.array(face.box_xyxy)),
        "lines": [outline[start:end] for start, end in zip(starts, ends, strict=True)],
        "regions": _regions(spec, face),
        "heat": None if attention is None else heat_map(attention).tolist(),
    }


def _regions(spec: ModelSpec, face: Face) -> list[list[float]]:
    left, top, right, bottom = np.array(LAYOUTS[spec.region_layout], np.float64).T
    corners = np.stack((left, top, right, top, right, bottom, left, bottom), axis=1)
    to_frame = cv2.invertAffineTransform(face.transform)
    placed = corners.reshape(-1, 4, 2) @ to_frame[:, :2].T + to_frame[:, 2]
    return [_tenths(region) for region in placed]


def _tenths(values: npt.NDArray[np.floating[Any]]) -> list[float]:
    tenths: list[float] = values.astype(np.float64).round(1).ravel().tolist()
    return tenths
