"""Sizes and places of the overlay's parts on a frame of any size."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.drawing.shapes import Box
from realtime.drawing.text import width_of
from realtime.types import Face

_TEXT_SHARE = 0.026  # text size as a share of the frame's shorter side
_MIN_TEXT_PX = 10  # the smallest size at which the stroke font can be read
_PANEL_SHARE = 0.4  # share of the width; bars get shorter before the panel gets wider than this
_PANEL_TALL = 0.6  # share of the height; macro-expressions get fewer before it gets taller
_SMALL_SHARE = 0.85  # share of the text size, for rows of macro-expressions and the axis


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes in pixels for one size of frame."""

    width: int
    height: int
    text: int  # size of text
    large: int  # size of the text that announces an event
    row: int  # from one line of text to the next; marks and bars stand at half its height
    badge: int  # height of a plate with one line of text
    pad: int  # inside a plate, and from a plate to the edge of the frame
    gap: int  # between two phrases
    line: int  # thickness of lines
    mark: int  # width of a class's mark and the space after it
    label: int  # width of the column of labels
    number: int  # width of the column of numbers
    bar: int  # length of a full bar
    rows: int  # classes that fit into the panel
    small: int  # size of text of macro-expressions
    small_row: int  # from one line of this text to the next
    macro_lines: int  # heading and all macro-expressions; 1: the highest alone; 0: none
    axis: int  # size of the text under the timeline; 1: none
    strip: int  # height of the strip along the lower edge

    @classmethod
    def of(
        cls, width: int, height: int, labels: tuple[str, ...], macro_labels: tuple[str, ...]
    ) -> Layout:
        """Compute the layout for a frame size in pixels and the labels of both models."""
        text = max(_MIN_TEXT_PX, round(_TEXT_SHARE * min(width, height)))
        row = round(text * 1.3)
        pad = round(text * 0.6)
        axis = round(text * _SMALL_SHARE) if height >= 400 else 1
        small = max(_MIN_TEXT_PX, round(text * _SMALL_SHARE))
        small_row = round(small * 1.25)
        strip = row + round(0.085 * height) + round(axis * 1.3) + row + pad // 2
        mark = round(text * 1.15)
        widths = [width_of(label, text) for label in labels]
        widths += [width_of(label, small) for label in macro_labels]
        label = min(max(widths), 9 * text) + pad
        number = width_of("0.00", text) + pad // 2
        bar = round(_PANEL_SHARE * width) - 2 * pad - mark - label - number
        room = height - strip - 3 * pad - row
        rows = max(1, min(len(labels), room // row))
        spare = room - rows * row - pad // 2
        tall = round(_PANEL_TALL * height) - (rows + 1) * row - 2 * pad
        macro_lines = 0
        if macro_labels and (2 + len(macro_labels)) * small_row <= min(spare, tall):
            macro_lines = 1 + len(macro_labels)
        elif macro_labels and small_row <= spare:
            macro_lines = 1
        return cls(
            width=width,
            height=height,
            text=text,
            large=round(text * 1.5),
            row=row,
            badge=row + pad // 2,
            pad=pad,
            gap=round(text * 1.1),
            line=max(1, round(min(width, height) / 480)),
            mark=mark,
            label=label,
            number=number,
            bar=min(max(bar, 2 * text), 6 * text),
            rows=rows,
            small=small,
            small_row=small_row,
            macro_lines=macro_lines,
            axis=axis,
            strip=strip,
        )

    def panel(self, on_the_right: bool) -> Box:
        """Return the box of the panel with the scores, at the left or right edge."""
        width = 2 * self.pad + self.mark + self.label + self.bar + self.number
        height = (self.rows + 1) * self.row + round(1.5 * self.pad)
        if self.macro_lines:
            headings = 1 if self.macro_lines > 1 else 0
            height += self.pad // 2 + (headings + self.macro_lines) * self.small_row
        left = self.width - self.pad - width if on_the_right else self.pad
        return (left, self.pad, left + width, self.pad + height)


def box_area(face: Face) -> float:
    """Return the area of a face's box in pixels."""
    left, top, right, bottom = face.box_xyxy
    return (right - left) * (bottom - top)


def overlap_area(box: Box, other: tuple[float, float, float, float]) -> float:
    """Return the area in pixels that two boxes share."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(0.0, width) * max(0.0, height)
