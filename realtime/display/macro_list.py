"""The overlay's list of macro-expressions."""

from __future__ import annotations

import numpy as np

from realtime.display.overlay_layout import Layout
from realtime.drawing.markers import paint_mark
from realtime.drawing.palette import TRACK, class_markers, colours_bgr
from realtime.drawing.shapes import fill, view
from realtime.drawing.text import PALE, WHITE, shorten, width_of, write
from realtime.types import MacroScores, UInt8Array

MICRO_WORD, MACRO_WORD = "lets slip", "shows"
"""Verbs in front of the scores of micro- and of macro-expressions: a face "lets slip" the first
and "shows" the second."""


class MacroList:
    """Macro-expression scores of one face: a heading and a small bar for each, or one line with the
    highest.

    The scores change a few times a second, so the drawn picture is kept, on black, until then.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._colours = colours_bgr(labels)
        self._marks = class_markers(labels)
        self._drawn_of: tuple[Layout, MacroScores | None] | None = None
        self._drawn: UInt8Array = np.empty((0, 0, 3), np.uint8)

    def paint(
        self, image: UInt8Array, x: int, y: int, look: Layout, scores: MacroScores | None
    ) -> None:
        """Draw the list over a plate, with its top left corner at (x, y).

        `scores`: None if there are none yet.
        """
        if self._drawn_of != (look, scores):
            self._drawn_of = (look, scores)
            self._drawn = self._draw(look, scores)
        height, width = self._drawn.shape[:2]
        target = view(image, (x, y, x + width, y + height))
        np.maximum(target, self._drawn[: target.shape[0], : target.shape[1]], out=target)

    def _draw(self, look: Layout, scores: MacroScores | None) -> UInt8Array:
        width = look.mark + look.label + look.bar + look.number
        picture = np.zeros((look.macro_lines * look.small_row, width, 3), np.uint8)
        if look.macro_lines > 1:
            self._draw_all(picture, look, scores)
        else:
            self._draw_highest(picture, look, scores)
        return picture

    def _draw_highest(self, picture: UInt8Array, look: Layout, scores: MacroScores | None) -> None:
        write(picture, MACRO_WORD, 0, 0, look.small, PALE)
        width = picture.shape[1]
        if scores is None:
            write(picture, "-", width, 0, look.small, PALE, align="right")
            return
        number = f"{max(scores.probabilities):.2f}"
        x = width_of(f"{MACRO_WORD} ", look.small)
        room = width - x - look.mark - width_of(number, look.small)
        self._draw_label(picture, self._labels[scores.highest], x, 0, look, WHITE, room)
        write(picture, number, width, 0, look.small, align="right")

    def _draw_all(self, picture: UInt8Array, look: Layout, scores: MacroScores | None) -> None:
        write(picture, f"macro: {MACRO_WORD}", 0, 0, look.small, PALE)
        top_label, shares = None, (0.0,) * len(self._labels)
        if scores is not None:
            top_label, shares = self._labels[scores.highest], scores.probabilities
        width = picture.shape[1]
        bar_left, bar_right = look.mark + look.label, width - look.number
        half = max(1, round(look.small * 0.17))
        for row, (label, share) in enumerate(zip(self._labels, shares, strict=True), 1):
            y = row * look.small_row
            middle = y + look.small_row // 2
            is_top = label == top_label
            level = WHITE if is_top else PALE
            self._draw_label(picture, label, 0, y, look, level, look.label - look.pad)
            fill(picture, (bar_left, middle - half, bar_right, middle + half), TRACK)
            end = bar_left + round(share * (bar_right - bar_left))
            fill(picture, (bar_left, middle - half, end, middle + half), self._colours[label])
            number = f"{share:.2f}" if is_top else "-" if scores is None else ""
            write(picture, number, width, y, look.small, level, align="right")

    def _draw_label(
        self,
        picture: UInt8Array,
        label: str,
        x: int,
        y: int,
        look: Layout,
        level: int,
        room_px: int,
    ) -> None:
        """Draw mark and label, the label no wider than `room_px`."""
        middle, radius = y + look.small_row // 2, look.small * 0.34
        left = x + look.text * 0.34
        paint_mark(picture, self._marks[label], left, middle, radius, self._colours[label])
        write(picture, shorten(label, look.small, room_px), x + look.mark, y, look.small, level)
