"""Text for pictures: OpenCV's stroke font, drawn large, scaled down smoothly and kept.

Drawn at its final size the stroke font is ragged. Drawn `_SUPERSAMPLING` times larger and
averaged down, its strokes are even at every size. A drawn string is kept, because a monitor
shows the same few hundred again and again.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np

from realtime.types import UInt8Array

WHITE = 250
"""Gray level of text that is read first."""

PALE = 220
"""Gray level of quiet text; on a plate over a white scene still 6 : 1."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SUPERSAMPLING = 8
# Shares of the text size:
_CAP_HEIGHT = 0.72  # as in common typefaces
_BASELINE = 0.98  # from the top of the line
_LINE_HEIGHT = 1.25  # leaves room for descenders
_STROKE = 0.095  # a little bolder than regular, as light on dark needs


@lru_cache(maxsize=2048)
def render_text(text: str, size_px: int, level: int = WHITE) -> UInt8Array:
    """Draw `text` in gray `level` on black: uint8 [height, width, 3], not writeable.

    The font knows ASCII; accents are dropped, anything else becomes "?".
    """
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    cap_px = size_px * _CAP_HEIGHT * _SUPERSAMPLING
    scale = cap_px / cv2.getTextSize("M", _FONT, 1.0, 1)[0][1]
    stroke = max(_SUPERSAMPLING, round(_STROKE * size_px * _SUPERSAMPLING))
    width = cv2.getTextSize(plain, _FONT, scale, 1)[0][0] + 2 * stroke
    columns = max(1, -(-width // _SUPERSAMPLING))
    rows = round(size_px * _LINE_HEIGHT)
    large = np.zeros((rows * _SUPERSAMPLING, columns * _SUPERSAMPLING), np.uint8)
    origin = (stroke, round(size_px * _BASELINE * _SUPERSAMPLING))
    cv2.putText(large, plain, origin, _FONT, scale, (level,), stroke, cv2.LINE_AA)
    small = cv2.resize(large, (columns, rows), interpolation=cv2.INTER_AREA)
    picture = np.repeat(np.asarray(small, np.uint8)[:, :, None], 3, axis=2)
    picture.flags.writeable = False
    return picture


def width_of(text: str, size_px: int) -> int:
    """Return the width of `text` in pixels."""
    return int(render_text(text, size_px).shape[1])


def shorten(text: str, size_px: int, width_px: int) -> str:
    """Return `text`, cut and ended with ".." where it is wider than `width_px`."""
    if width_of(text, size_px) <= width_px:
        return text
    kept = text
    while kept and width_of(kept + "..", size_px) > width_px:
        kept = kept[:-1]
    return kept + ".." if kept else ""


def write(
    image: UInt8Array,
    text: str,
    x: int,
    y: int,
    size_px: int,
    level: int = WHITE,
    align: Literal["left", "right"] = "left",
) -> None:
    """Write `text` into `image` [H, W, 3], which has to be dark there.

    (x, y): its top left corner, or top right with `align="right"`. The lighter of picture and
    text is kept at each pixel, which on a dark plate gives the same as blending, at a tenth of the
    cost. Text outside the image is cut off.
    """
    picture = render_text(text, size_px, level)
    height, width = picture.shape[:2]
    if align == "right":
        x -= width
    top, left = max(0, -y), max(0, -x)
    target = image[y + top : max(0, y + height), x + left : max(0, x + width)]
    if target.size:
        rows, columns = target.shape[:2]
        np.maximum(target, picture[top : top + rows, left : left + columns], out=target)
