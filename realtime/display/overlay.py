"""`Overlay`: faces, scores, the last seconds, events and state, drawn on a frame.

Everything stands at the edge, thin, on dark translucent plates, and scales with the frame, so
that the picture of the face stays visible.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from realtime.display.commands import KEYS
from realtime.display.event_timeline import TIMELINE_S, EventTimeline
from realtime.display.macro_list import MACRO_WORD, MICRO_WORD, MacroList
from realtime.display.overlay_layout import Layout, box_area, overlap_area
from realtime.drawing.heat_map import heat_map, heat_ramp, heat_tables
from realtime.drawing.markers import paint_mark
from realtime.drawing.palette import (
    AMBER,
    LIGHT,
    RECORD_RED,
    SHADOW,
    TRACK,
    class_markers,
    colours_bgr,
)
from realtime.drawing.shapes import SUBPIXEL_BITS, fill, paint_brackets, plate, view
from realtime.drawing.text import PALE, WHITE, shorten, width_of, write
from realtime.run_status import RunStatus
from realtime.spec import FACE_SIZE, LAYOUTS, NONE_LABEL, ModelSpec
from realtime.types import NO_FACE, Face, MacroScores, Scores, State, UInt8Array, Update

_MACRO_HELD_S = 1.0  # macro scores come twice a second; older ones were interrupted
_PRIMARY_MARGIN = 1.25  # another face has to be this much larger to take the panel over
_PANEL_HOLD_S = 1.0  # the panel does not change sides more often than this
_REGION_OPACITY = 0.5  # enough to be seen on skin, little enough to see the skin


class Overlay:
    """Painter of updates, one after the other, which remembers the last seconds.

    `macro_labels`: labels of the macro-expressions, whose scores then stand under the model's
    own; empty where none are scored. A small frame shows the highest of them
    alone, and one that has no room for that shows none.

    One thread at a time. The picture returned is kept and painted over by the next `paint`:
    copy it to keep it.
    """

    def __init__(self, spec: ModelSpec, macro_labels: Sequence[str] = ()) -> None:
        self._spec = spec
        self._labels = spec.labels
        self._macro_labels = tuple(macro_labels)
        self._colours = colours_bgr(spec.labels)
        self._marks = class_markers(spec.labels)
        self._classes = [i for i, label in enumerate(spec.labels) if label != NONE_LABEL]
        self._macro_list = MacroList(self._macro_labels)
        self._canvas: UInt8Array = np.empty((0, 0, 3), np.uint8)
        self._layout = Layout.of(0, 0, spec.labels, self._macro_labels)
        self._forget()

    def _forget(self) -> None:
        self._now_s = float("-inf")
        self._timeline = EventTimeline(self._spec, self._colours, self._marks)
        self._warming_since_s: dict[int, float] = {}
        self._attention: dict[int, Scores] = {}
        self._macro: dict[int, MacroScores] = {}
        self._primary_id: int | None = None
        self._panel_right = False
        self._panel_moved_s = float("-inf")

    def add(self, update: Update) -> None:
        """Take note of an update without painting it; a second time does no harm.

        A frame that is older than the one before means that the stream began again: everything
        before is forgotten.
        """
        now_s = update.frame.t_s
        if now_s < self._now_s:
            self._forget()
        self._now_s = now_s
        self._timeline.add(update)
        for scores in update.scores:
            if scores.attention is not None:
                self._attention[scores.face_id] = scores
        self._warming_since_s = {
            face_id: self._warming_since_s.get(face_id, now_s)
            for face_id, state in update.states.items()
            if state == "warming up"
        }
        start_s = now_s - 2 * TIMELINE_S
        self._attention = {i: s for i, s in self._attention.items() if s.t_s >= start_s}
        self._macro.update((scores.face_id, scores) for scores in update.macro)
        self._macro = {i: s for i, s in self._macro.items() if s.t_s >= now_s - _MACRO_HELD_S}

    def paint(
        self,
        update: Update,
        status: RunStatus | None = None,
        *,
        heat_map: bool = False,
        show_help: bool = False,
        recording: bool = False,
        frozen: bool = False,
        notice: str = "",
    ) -> UInt8Array:
        """Return the frame with everything drawn on it: uint8 [height, width, 3], BGR.

        Calls `add(update)`. The frame itself is not written to. `heat_map`: show where the
        network looked, for faces whose scores bring `attention`. `notice`: a short message in
        the corner, such as where a snapshot went. The picture is valid until the next call.
        """
        self.add(update)
        frame = update.frame.image_bgr
        if self._canvas.shape != frame.shape:
            self._canvas = np.empty(frame.shape, np.uint8)
            self._layout = Layout.of(
                frame.shape[1], frame.shape[0], self._labels, self._macro_labels
            )
        image = self._canvas
        np.copyto(image, frame)
        now_s = update.frame.t_s
        primary = self._choose_primary(update.faces)

        for face in update.faces:
            if heat_map and face.face_id in self._attention:
                self._paint_heat(image, face)
        for face in update.faces:
            self._paint_face(image, face, update, is_primary=face is primary)
        strip_top = self._paint_strip(image, now_s, status)
        self._timeline.paint_flashes(
            image, now_s, strip_top, self._layout, with_face=len(update.faces) > 1
        )
        self._place_panel(primary, now_s)
        self._paint_panel(image, update, primary)
        y = self._paint_badges(image, recording, frozen, notice)
        if heat_map:
            self._paint_heat_key(image, y)
        if show_help:
            self._paint_help(image)
        return image

    # Which face, where

    def _choose_primary(self, faces: tuple[Face, ...]) -> Face | None:
        """Choose the largest face; the face shown so far stays unless another is clearly larger."""
        if not faces:
            return None
        largest = max(faces, key=box_area)
        current = next((face for face in faces if face.face_id == self._primary_id), largest)
        primary = largest if box_area(largest) > _PRIMARY_MARGIN * box_area(current) else current
        self._primary_id = primary.face_id
        return primary

    def _place_panel(self, primary: Face | None, now_s: float) -> None:
        """Move the panel to the other side when the face is behind it and not behind that."""
        if primary is None or now_s - self._panel_moved_s < _PANEL_HOLD_S:
            return
        here = overlap_area(self._layout.panel(self._panel_right), primary.box_xyxy)
        there = overlap_area(self._layout.panel(not self._panel_right), primary.box_xyxy)
        if here > 1.5 * there:
            self._panel_right = not self._panel_right
            self._panel_moved_s = now_s

    def _top_class(self, probabilities: npt.NDArray[np.float32]) -> int:
        """Return the index of the likeliest class that is not `none`."""
        return max(self._classes or [0], key=lambda i: probabilities[i])

    # Faces

    def _paint_face(self, image: UInt8Array, face: Face, update: Update, is_primary: bool) -> None:
        look = self._layout
        state: State = update.states.get(face.face_id, "warming up")
        scores = self._timeline.latest(face.face_id, update.frame.t_s)
        colour = LIGHT
        if state == "expression" and scores is not None:
            colour = self._colours[self._labels[self._top_class(scores)]]
        if is_primary:
            self._paint_regions(image, face)
        left, top, right, bottom = (round(value) for value in face.box_xyxy)
        paint_brackets(image, (left, top, right, bottom), colour, look.line)
        if is_primary and len(update.faces) == 1:
            return
        lines = [f"face {face.face_id}"]
        if not is_primary:
            lines[0] += f"  {state}"
            if scores is not None and state != "warming up":
                top_class = self._top_class(scores)
                lines[0] += f"  {self._labels[top_class]} {scores[top_class]:.2f}"
            macro = self._macro.get(face.face_id)
            if macro is not None and look.macro_lines:
                label, share = self._macro_labels[macro.highest], max(macro.probabilities)
                lines.append(f"{MACRO_WORD} {label} {share:.2f}")
        height = len(lines) * look.row
        width = max(width_of(line, look.text) for line in lines) + look.pad
        x = min(max(0, left), max(0, image.shape[1] - width))
        y = top - height - look.line * 2 if top > height + look.line * 2 else top + look.line * 3
        plate(image, (x, y, x + width, y + height))
        for line in lines:
            write(image, line, x + look.pad // 2, y, look.text, WHITE)
            y += look.row

    def _paint_regions(self, image: UInt8Array, face: Face) -> None:
        """Outline the regions that the network sees, half transparent."""
        to_image = cv2.invertAffineTransform(face.transform)
        outlines = self._region_corners() @ to_image[:, :2].T + to_image[:, 2]
        left, top = np.floor(outlines.min(axis=(0, 1))).astype(int) - 2
        right, bottom = np.ceil(outlines.max(axis=(0, 1))).astype(int) + 2
        roi = view(image, (left, top, right, bottom))
        if not roi.size:
            return
        lines = roi.copy()
        origin = (max(0, left), max(0, top))
        quads = ((outlines - origin) * (1 << SUBPIXEL_BITS)).round().astype(np.int32)
        shadows = quads + (1 << SUBPIXEL_BITS)
        cv2.polylines(lines, list(shadows), True, SHADOW, 1, cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.polylines(lines, list(quads), True, LIGHT, 1, cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.addWeighted(roi, 1 - _REGION_OPACITY, lines, _REGION_OPACITY, 0, dst=roi)

    def _region_corners(self) -> npt.NDArray[np.float64]:
        """Return the corners of each region on the aligned face [R, 4, 2], drawn in a little so
        that neighbours do not share a line."""
        left, top, right, bottom = np.array(LAYOUTS[self._spec.region_layout], np.float64).T
        across = np.stack((left + 1, right - 1, right - 1, left + 1), axis=1)
        down = np.stack((top + 1, top + 1, bottom - 1, bottom - 1), axis=1)
        return np.stack((across, down), axis=2)

    def _paint_heat(self, image: UInt8Array, face: Face) -> None:
        """Blend the heat map in, transparent where the network hardly looked."""
        height, width = image.shape[:2]
        to_image = cv2.invertAffineTransform(face.transform)
        corners = np.array([(0, 0), (FACE_SIZE, 0), (FACE_SIZE, FACE_SIZE), (0, FACE_SIZE)])
        outline = corners @ to_image[:, :2].T + to_image[:, 2]
        x0, y0 = np.clip(np.floor(outline.min(axis=0)), 0, (width, height)).astype(int)
        x1, y1 = np.clip(np.ceil(outline.max(axis=0)), 0, (width, height)).astype(int)
        if x0 >= x1 or y0 >= y1:
            return
        to_roi = to_image - np.array([(0, 0, x0), (0, 0, y0)])
        size = (int(x1 - x0), int(y1 - y0))
        aligned = self._heat_of(self._attention[face.face_id])
        heat = cv2.warpAffine(aligned, to_roi, size, flags=cv2.INTER_LINEAR)
        roi = image[y0:y1, x0:x1]
        colours, transparency = heat_tables()
        cv2.multiply(roi, cv2.applyColorMap(heat, transparency), dst=roi, scale=1 / 255)
        cv2.add(roi, cv2.applyColorMap(heat, colours), dst=roi)

    def _heat_of(self, scores: Scores) -> UInt8Array:
        """Return the heat map on the aligned face, 0 to 255 from least to most attention."""
        assert scores.attention is not None
        face = np.zeros((FACE_SIZE, FACE_SIZE), np.uint8)
        layout = LAYOUTS[self._spec.region_layout]
        for (x0, y0, x1, y1), region in zip(layout, heat_map(scores.attention), strict=True):
            part = cv2.resize(region, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
            np.maximum(face[y0:y1, x0:x1], part, out=face[y0:y1, x0:x1])
        return face

    # Scores

    def _paint_panel(self, image: UInt8Array, update: Update, primary: Face | None) -> None:
        """Paint the state and a bar for each class; below them the macro-expressions."""
        look = self._layout
        left, top, right, bottom = look.panel(self._panel_right)
        plate(image, (left, top, right, bottom))
        now_s = update.frame.t_s
        state: State = NO_FACE
        if primary is not None:
            state = update.states.get(primary.face_id, "warming up")
        scores = None
        if primary is not None and state != "warming up":
            scores = self._timeline.latest(primary.face_id, now_s)
        inner_left, inner_right = left + look.pad, right - look.pad
        y = top + look.pad // 2
        lively = state in ("expression", "macro")
        write(image, state, inner_left, y, look.text, WHITE if lively else PALE)
        if primary is not None and len(update.faces) > 1:
            which = f"face {primary.face_id}"
            write(image, which, inner_right, y, look.text, PALE, align="right")
        y += look.row
        if state == "warming up" and primary is not None:
            since_s = self._warming_since_s.get(primary.face_id, now_s)
            share = min(1.0, (now_s - since_s) * self._spec.rate_hz / self._spec.frames)
            end = inner_left + round(share * (inner_right - inner_left))
            fill(image, (inner_left, y, inner_right, y + look.line), TRACK)
            fill(image, (inner_left, y, end, y + look.line), LIGHT)
        y += look.pad // 2
        if look.macro_lines > 1:
            write(image, f"micro: {MICRO_WORD}", inner_left, y, look.small, PALE)
            y += look.small_row
        top_class = int(np.argmax(scores)) if scores is not None else -1
        bar_left = inner_left + look.mark + look.label
        bar_right = inner_right - look.number
        for index, label in enumerate(self._labels[: look.rows]):
            level = WHITE if index == top_class else PALE
            middle = y + look.row // 2
            radius = look.text * 0.34
            paint_mark(
                image, self._marks[label], inner_left + radius, middle, radius, self._colours[label]
            )
            shown = shorten(label, look.text, look.label - look.pad)
            write(image, shown, inner_left + look.mark, y, look.text, level)
            half = max(2, round(look.text * 0.22))
            fill(image, (bar_left, middle - half, bar_right, middle + half), TRACK)
            number = "-"
            if scores is not None:
                end = bar_left + round(float(scores[index]) * (bar_right - bar_left))
                fill(image, (bar_left, middle - half, end, middle + half), self._colours[label])
                number = f"{scores[index]:.2f}"
            write(image, number, inner_right, y, look.text, level, align="right")
            y += look.row
        if look.macro_lines:
            fill(image, (inner_left, y + look.line, inner_right, y + look.line + 1), TRACK)
            macro = self._macro.get(primary.face_id) if primary is not None else None
            self._macro_list.paint(image, inner_left, y + look.pad // 2, look, macro)

    def _paint_strip(self, image: UInt8Array, now_s: float, status: RunStatus | None) -> int:
        """Paint timeline, warning and status along the lower edge; return its upper edge."""
        look = self._layout
        height, width = map(int, image.shape[:2])
        warning = status.warning if status else ""
        strip_top = height - look.strip - (look.row if warning else 0)
        plate(image, (0, strip_top, width, height))
        y = height - look.row - look.pad // 4
        if status is not None:
            words = _fitting(status, look.text, width - 2 * look.pad, look.gap)
            x = look.pad
            for word in words:
                write(image, word, x, y, look.text, PALE)
                x += width_of(word, look.text) + look.gap
        if warning:
            y -= look.row
            radius = look.text * 0.4
            paint_mark(image, "▲", look.pad + radius, y + look.text * 0.6, radius, AMBER)
            x = look.pad + look.mark
            write(image, shorten(warning, look.text, width - x - look.pad), x, y, look.text)
        box = (look.pad, strip_top, width - look.pad, y)
        self._timeline.paint(image, box, now_s, self._layout, self._primary_id)
        return strip_top

    # Badges and help

    def _paint_badges(self, image: UInt8Array, recording: bool, frozen: bool, notice: str) -> int:
        """Paint REC, frozen and the notice below each other in the corner that the panel leaves.

        Returns the upper edge of the next badge.
        """
        look = self._layout
        y = look.pad
        radius = look.text * 0.36
        for shown, word in ((recording, "REC"), (frozen, "frozen"), (bool(notice), notice)):
            if not shown:
                continue
            indent = look.mark if word is not notice else 0
            word = shorten(word, look.text, image.shape[1] - 4 * look.pad - indent)
            width = indent + width_of(word, look.text) + 2 * look.pad
            x, text_y = self._paint_badge(image, width, y)
            middle = y + look.badge / 2
            if word == "REC":
                paint_mark(image, "●", x + radius, middle, radius, RECORD_RED)
            elif word == "frozen":
                bar = max(1, round(radius * 0.6))
                bar_top = round(middle - radius)
                for left in (x, x + 2 * bar):
                    fill(image, (left, bar_top, left + bar, bar_top + round(2 * radius)), LIGHT)
            write(image, word, x + indent, text_y, look.text)
            y += look.badge + look.pad // 2
        return y

    def _paint_badge(self, image: UInt8Array, width: int, y: int) -> tuple[int, int]:
        """Paint a plate in the corner that the panel leaves; return the place of its text."""
        look = self._layout
        x = look.pad if self._panel_right else image.shape[1] - look.pad - width
        plate(image, (x, y, x + width, y + look.badge))
        return x + look.pad, round(y + look.badge / 2 - look.text * 0.62)

    def _paint_heat_key(self, image: UInt8Array, y: int) -> None:
        """Paint the legend of the heat map."""
        look = self._layout
        size, space = look.text, look.pad // 2
        ramp = 4 * size
        words = width_of("attention", size) + width_of("low", size) + width_of("high", size)
        x, text_y = self._paint_badge(image, words + ramp + 2 * look.pad + 4 * space, y)
        write(image, "attention", x, text_y, size, PALE)
        x += width_of("attention", size) + 2 * space
        write(image, "low", x, text_y, size, PALE)
        x += width_of("low", size) + space
        half = max(2, round(size * 0.25))
        middle = y + look.badge // 2
        target = view(image, (x, middle - half, x + ramp, middle + half))
        target[:] = heat_ramp(ramp)[:, : target.shape[1]]
        write(image, "high", x + ramp + space, text_y, size, PALE)

    def _paint_help(self, image: UInt8Array) -> None:
        """Paint the table of keys in the middle."""
        look = self._layout
        rows = [("space" if key == " " else key, effect) for key, effect in KEYS]
        key_width = max(width_of(key, look.text) for key, _ in rows) + look.gap
        width = key_width + max(width_of(effect, look.text) for _, effect in rows) + 3 * look.pad
        height = len(rows) * look.row + 2 * look.pad
        left, top = (image.shape[1] - width) // 2, max(0, (image.shape[0] - height) // 2)
        plate(image, (left, top, left + width, top + height), share=0.15)
        y = top + look.pad
        for key, effect in rows:
            write(image, key, left + int(1.5 * look.pad), y, look.text)
            write(image, effect, left + int(1.5 * look.pad) + key_width, y, look.text, PALE)
            y += look.row


def _fitting(status: RunStatus, size_px: int, width_px: int, gap_px: int) -> list[str]:
    """Return the phrases of the status that fit side by side.

    Causes of drops are left out first, then the device and what comes before it.
    """

    def needed(words: list[str]) -> int:
        return sum(width_of(word, size_px) + gap_px for word in words) - gap_px

    words = status.words()
    if needed(words) > width_px:
        words = status.words(causes=False)
    while words and needed(words) > width_px:
        words.pop()
    return words
