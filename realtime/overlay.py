"""Draw on a frame what the monitor knows: faces, scores, the last seconds, events, state.

Everything stands at the edge, thin, on dark translucent plates, and scales with the frame, so
that the picture of the face stays visible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realtime.drawing.heat_map import heat_ramp, heat_tables
from realtime.drawing.markers import paint_mark
from realtime.drawing.palette import (
    AMBER,
    DIM,
    LIGHT,
    RECORD_RED,
    SHADOW,
    TRACK,
    class_marks,
    colours_bgr,
)
from realtime.drawing.shapes import Box, fill, paint_brackets, plate, tint, view
from realtime.drawing.text import PALE, WHITE, shorten, width_of, write
from realtime.run_status import RunStatus
from realtime.spec import FACE_SIZE, LAYOUTS, NONE_LABEL, ModelSpec
from realtime.types import Event, Face, MacroScores, Scores, State, UInt8Array, Update

TIMELINE_S = 10.0
"""Seconds that the timeline strip shows."""

MICRO_WORD, MACRO_WORD = "lets slip", "shows"
"""What a face does in the scores of micro- and of macro-expressions, in a user's words."""

FLASH_S = 2.0
"""Seconds for which an event is announced: long enough to read three words and two numbers."""

KEYS: tuple[tuple[str, str], ...] = (
    ("q", "quit"),
    ("r", "record on / off"),
    ("space", "freeze the picture"),
    ("h", "heat map on / off"),
    ("s", "save a snapshot"),
    ("c", "recalibrate"),
    ("?", "this help"),
)
"""The keys of the window, as the help panel lists them."""

_TEXT_SHARE = 0.026  # text size, of the shorter side of the frame
_MIN_TEXT_PX = 10  # the smallest size at which the stroke font can be read
_PANEL_SHARE = 0.4  # of the width; bars get shorter before the panel gets wider than this
_PANEL_TALL = 0.6  # of the height; macro-expressions get fewer before the panel gets taller
_SMALL_SHARE = 0.85  # of the text size: the rows of macro-expressions, and the axis
_MACRO_HELD_S = 1.0  # macro scores come twice a second; older ones were interrupted
_PRIMARY_MARGIN = 1.25  # another face has to be this much larger to take the panel over
_PANEL_HOLD_S = 1.0  # the panel does not change sides more often than this
_TRACE_CAPACITY = 8192  # scores kept of a face; 10 s of them at any rate that can be computed
_REGION_OPACITY = 0.5  # enough to be seen on skin, little enough to see the skin
_SUBPIXEL_BITS = 4


class Overlay:
    """Paints updates, one after the other, and remembers what the timeline shows.

    `macro_labels`: those of the model of macro-expressions, whose scores then have their place
    under the model's own; empty where none are scored. A small frame shows the highest of them
    alone, and one that has no room for that shows none.

    One thread at a time. The picture returned is kept and painted over by the next `paint`:
    copy it to keep it.
    """

    def __init__(self, spec: ModelSpec, macro_labels: Sequence[str] = ()) -> None:
        self._spec = spec
        self._labels = spec.labels
        self._macro_labels = tuple(macro_labels)
        self._colours = colours_bgr(spec.labels)
        self._marks = class_marks(spec.labels)
        self._classes = [i for i, label in enumerate(spec.labels) if label != NONE_LABEL]
        self._macro_list = _MacroList(self._macro_labels)
        self._canvas: UInt8Array = np.empty((0, 0, 3), np.uint8)
        self._layout = _Layout.of(0, 0, spec.labels, self._macro_labels)
        self._forget()

    def _forget(self) -> None:
        self._now_s = float("-inf")
        self._traces: dict[int, _Trace] = {}
        self._events: deque[tuple[float, Event]] = deque(maxlen=256)
        self._warming_since_s: dict[int, float] = {}
        self._attention: dict[int, Scores] = {}
        self._macro: dict[int, MacroScores] = {}
        self._primary_id: int | None = None
        self._panel_right = False
        self._panel_moved_s = float("-inf")

    def add(self, update: Update) -> None:
        """Take note of an update without painting it. Taking note of one twice does no harm.

        A frame that is older than the one before means that the stream began again: everything
        before is forgotten.
        """
        now_s = update.frame.t_s
        if now_s < self._now_s:
            self._forget()
        self._now_s = now_s
        for scores in update.scores:
            trace = self._traces.setdefault(scores.face_id, _Trace(len(self._labels)))
            trace.add(scores.t_s, scores.probabilities)
            if scores.attention is not None:
                self._attention[scores.face_id] = scores
        known = {event for _, event in self._events}
        self._events.extend((now_s, event) for event in update.events if event not in known)
        self._warming_since_s = {
            face_id: self._warming_since_s.get(face_id, now_s)
            for face_id, state in update.states.items()
            if state == "warming up"
        }
        start_s = now_s - 2 * TIMELINE_S
        self._traces = {i: trace for i, trace in self._traces.items() if trace.last_s >= start_s}
        self._attention = {i: s for i, s in self._attention.items() if i in self._traces}
        self._macro.update((scores.face_id, scores) for scores in update.macro)
        self._macro = {i: s for i, s in self._macro.items() if s.t_s >= now_s - _MACRO_HELD_S}

    def paint(
        self,
        update: Update,
        status: RunStatus | None = None,
        *,
        heat_map: bool = False,
        help: bool = False,
        recording: bool = False,
        frozen: bool = False,
        notice: str = "",
    ) -> UInt8Array:
        """The frame with everything drawn on it: uint8 [height, width, 3], BGR.

        Calls `add(update)`. The frame itself is not written to. `heat_map`: show where the
        network looked, for faces whose scores bring `attention`. `notice`: a short message in
        the corner, such as where a snapshot went. The picture is valid until the next call.
        """
        self.add(update)
        frame = update.frame.image_bgr
        if self._canvas.shape != frame.shape:
            self._canvas = np.empty(frame.shape, np.uint8)
            self._layout = _Layout.of(
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
        self._paint_flashes(image, now_s, strip_top, with_face=len(update.faces) > 1)
        self._place_panel(primary, now_s)
        self._paint_panel(image, update, primary)
        y = self._paint_badges(image, recording, frozen, notice)
        if heat_map:
            self._paint_heat_key(image, y)
        if help:
            self._paint_help(image)
        return image

    # Which face, where

    def _choose_primary(self, faces: tuple[Face, ...]) -> Face | None:
        """The largest face; the one shown so far stays unless another is clearly larger."""
        if not faces:
            return None
        largest = max(faces, key=_area)
        current = next((face for face in faces if face.face_id == self._primary_id), largest)
        primary = largest if _area(largest) > _PRIMARY_MARGIN * _area(current) else current
        self._primary_id = primary.face_id
        return primary

    def _place_panel(self, primary: Face | None, now_s: float) -> None:
        """Move the panel to the other side when the face is behind it and not behind that."""
        if primary is None or now_s - self._panel_moved_s < _PANEL_HOLD_S:
            return
        here = _overlap(self._layout.panel(self._panel_right), primary.box_xyxy)
        there = _overlap(self._layout.panel(not self._panel_right), primary.box_xyxy)
        if here > 1.5 * there:
            self._panel_right = not self._panel_right
            self._panel_moved_s = now_s

    def _latest(self, face_id: int | None, now_s: float) -> npt.NDArray[np.float32] | None:
        trace = self._traces.get(face_id) if face_id is not None else None
        return trace.at(now_s, self._gap_s) if trace else None

    @property
    def _gap_s(self) -> float:
        """Scores further apart than a window were interrupted: no line joins them."""
        return max(0.5, self._spec.frames / self._spec.rate_hz)

    def _top_class(self, probabilities: npt.NDArray[np.float32]) -> int:
        """The likeliest class that is not `none`."""
        return max(self._classes or [0], key=lambda i: probabilities[i])

    # Faces

    def _paint_face(self, image: UInt8Array, face: Face, update: Update, is_primary: bool) -> None:
        look = self._layout
        state: State = update.states.get(face.face_id, "warming up")
        scores = self._latest(face.face_id, update.frame.t_s)
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
        """Outlines of what the network sees of the face, half transparent."""
        to_image = cv2.invertAffineTransform(face.transform)
        outlines = self._region_corners() @ to_image[:, :2].T + to_image[:, 2]
        left, top = np.floor(outlines.min(axis=(0, 1))).astype(int) - 2
        right, bottom = np.ceil(outlines.max(axis=(0, 1))).astype(int) + 2
        roi = view(image, (left, top, right, bottom))
        if not roi.size:
            return
        lines = roi.copy()
        origin = (max(0, left), max(0, top))
        quads = ((outlines - origin) * (1 << _SUBPIXEL_BITS)).round().astype(np.int32)
        shadows = quads + (1 << _SUBPIXEL_BITS)
        cv2.polylines(lines, list(shadows), True, SHADOW, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.polylines(lines, list(quads), True, LIGHT, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.addWeighted(roi, 1 - _REGION_OPACITY, lines, _REGION_OPACITY, 0, dst=roi)

    def _region_corners(self) -> npt.NDArray[np.float64]:
        """Corners of each region on the aligned face [R, 4, 2], drawn in a little so that
        neighbours do not share a line."""
        left, top, right, bottom = np.array(LAYOUTS[self._spec.region_layout], np.float64).T
        across = np.stack((left + 1, right - 1, right - 1, left + 1), axis=1)
        down = np.stack((top + 1, top + 1, bottom - 1, bottom - 1), axis=1)
        return np.stack((across, down), axis=2)

    def _paint_heat(self, image: UInt8Array, face: Face) -> None:
        """Blend the heat map in; transparent where the network hardly looked."""
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
        """The heat map on the aligned face, 0 to 255 from least to most attention."""
        assert scores.attention is not None
        seen = scores.attention.mean(axis=1)
        low, high = float(seen.min()), float(seen.max())
        levels = (255 * (seen - low) / max(high - low, 1e-12)).astype(np.uint8)
        face = np.zeros((FACE_SIZE, FACE_SIZE), np.uint8)
        layout = LAYOUTS[self._spec.region_layout]
        for (x0, y0, x1, y1), region in zip(layout, levels, strict=True):
            part = cv2.resize(region, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
            np.maximum(face[y0:y1, x0:x1], part, out=face[y0:y1, x0:x1])
        return face

    # Scores

    def _paint_panel(self, image: UInt8Array, update: Update, primary: Face | None) -> None:
        """State word and a bar for each class; below it those of macro-expressions."""
        look = self._layout
        left, top, right, bottom = look.panel(self._panel_right)
        plate(image, (left, top, right, bottom))
        now_s = update.frame.t_s
        state: State = "no face"
        if primary is not None:
            state = update.states.get(primary.face_id, "warming up")
        scores = None
        if primary is not None and state != "warming up":
            scores = self._latest(primary.face_id, now_s)
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
        """Timeline, warning and status along the lower edge; returns its upper edge."""
        look = self._layout
        height, width = image.shape[:2]
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
        self._paint_timeline(image, (look.pad, strip_top, width - look.pad, y), now_s)
        return strip_top

    def _paint_timeline(self, image: UInt8Array, box: Box, now_s: float) -> None:
        look = self._layout
        left, top, right, bottom = box
        plot_top, plot_bottom = top + look.row, bottom - round(look.axis * 1.3)
        plot = view(image, (left, plot_top, right, plot_bottom + 1))
        if plot.shape[0] < 4 or plot.shape[1] < 4:
            return
        span_px = plot.shape[1] - 1
        depth_px = plot.shape[0] - 1
        pixels_per_s = span_px / TIMELINE_S
        start_s = now_s - TIMELINE_S
        plot[depth_px // 2] = np.maximum(plot[depth_px // 2], 70)
        plot[depth_px] = np.maximum(plot[depth_px], 120)
        seconds = np.linspace(0, span_px, int(TIMELINE_S) + 1).round().astype(int)
        plot[-3 * look.line :, seconds] = 120
        if look.axis > 1:
            small = look.axis
            write(image, f"{TIMELINE_S:.0f} s ago", left, plot_bottom + 1, small, PALE)
            write(image, "now", right, plot_bottom + 1, small, PALE, align="right")

        self._paint_spans(image, plot, left, top, start_s, now_s)
        trace = self._traces.get(self._primary_id) if self._primary_id is not None else None
        if trace is None:
            return
        times_s, probabilities = trace.between(start_s, now_s)
        if not len(times_s):
            return
        one = 1 << _SUBPIXEL_BITS
        x = (times_s - start_s) * (pixels_per_s * one)
        y = (1 - probabilities) * (depth_px * one)
        lines = np.empty((len(self._labels), len(x), 2), np.int32)
        lines[:, :, 0] = x.round()
        lines[:, :, 1] = y.T.round()
        breaks = np.flatnonzero(np.diff(times_s) > self._gap_s) + 1
        order = [i for i in range(len(self._labels)) if i not in self._classes] + self._classes
        for index in order:
            colour = self._colours[self._labels[index]] if index in self._classes else DIM
            # OpenCV's thick smooth lines cost ten times its thin ones: draw thin ones side by
            # side.
            for _ in range(look.line):
                runs = np.split(lines[index], breaks) if len(breaks) else [lines[index]]
                cv2.polylines(plot, runs, False, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
                lines[index, :, 1] += one
        for index in self._classes:
            if now_s - times_s[-1] < self._gap_s and probabilities[-1, index] >= 0.15:
                paint_mark(
                    plot,
                    self._marks[self._labels[index]],
                    x[-1] / one,
                    y[-1, index] / one,
                    look.text * 0.3,
                    self._colours[self._labels[index]],
                )

    def _paint_spans(
        self,
        image: UInt8Array,
        plot: UInt8Array,
        left: int,
        top: int,
        start_s: float,
        now_s: float,
    ) -> None:
        """Bands for the events of the face that is shown, newest first: where two words would
        meet, the newer one is written."""
        look = self._layout
        pixels_per_s = (plot.shape[1] - 1) / TIMELINE_S
        free_until = image.shape[1]
        for _, event in reversed(self._events):
            if event.face_id != self._primary_id or not start_s < event.offset_s <= now_s:
                continue
            colour = self._colours[event.label]
            x0 = max(0, round((event.onset_s - start_s) * pixels_per_s))
            x1 = max(x0 + 2, round((event.offset_s - start_s) * pixels_per_s))
            band = plot[:, x0:x1]
            if not band.size:
                continue
            tint(band, colour, 0.3)
            fill(plot, (x0, 0, x1, look.line + 1), colour)
            apex = left + (event.apex_s - start_s) * pixels_per_s
            radius = look.text * 0.34
            word_left = round(max(left + x0, apex - radius))
            word_width = look.mark + width_of(event.label, look.text)
            word_left = min(word_left, image.shape[1] - look.pad - word_width)
            middle = top + look.row / 2
            if word_left >= left and word_left + word_width + look.pad <= free_until:
                mark = self._marks[event.label]
                paint_mark(image, mark, word_left + radius, middle, radius, colour)
                write(image, event.label, word_left + look.mark, top, look.text)
                free_until = word_left

    # Announcements

    def _paint_flashes(
        self, image: UInt8Array, now_s: float, strip_top: int, *, with_face: bool
    ) -> None:
        """The newest events, each on a plate of its own above the strip."""
        look = self._layout
        size = look.large
        recent = [event for seen_s, event in self._events if 0 <= now_s - seen_s < FLASH_S]
        bottom = strip_top - look.pad
        for event in recent[:-3:-1]:
            numbers = f"{1000 * (event.offset_s - event.onset_s):.0f} ms   score {event.score:.2f}"
            if with_face:
                numbers += f"   face {event.face_id}"
            mark = round(size * 1.1)
            word_width = width_of(event.label, size)
            width = mark + word_width + look.gap + width_of(numbers, look.text) + 2 * look.pad
            height = round(size * 1.25) + look.pad
            left = (image.shape[1] - width) // 2
            top = bottom - height
            plate(image, (left, top, left + width, bottom))
            colour = self._colours[event.label]
            fill(image, (left, bottom - look.line - 1, left + width, bottom), colour)
            x = left + look.pad
            y = top + look.pad // 2
            middle = y + size * 0.62
            paint_mark(image, self._marks[event.label], x + size * 0.4, middle, size * 0.4, colour)
            write(image, event.label, x + mark, y, size)
            baseline = y + round((size - look.text) * 0.98)
            x += mark + word_width + look.gap
            write(image, numbers, x, baseline, look.text)
            bottom = top - look.pad // 2

    def _paint_badges(self, image: UInt8Array, recording: bool, frozen: bool, notice: str) -> int:
        """REC, frozen and the notice, one below the other in the corner that the panel leaves;
        returns where the next one goes."""
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
        """A plate in the corner that the panel leaves; returns where its text goes."""
        look = self._layout
        x = look.pad if self._panel_right else image.shape[1] - look.pad - width
        plate(image, (x, y, x + width, y + look.badge))
        return x + look.pad, round(y + look.badge / 2 - look.text * 0.62)

    def _paint_heat_key(self, image: UInt8Array, y: int) -> None:
        """What the colours of the heat map mean."""
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
        """The keys, in the middle."""
        look = self._layout
        key_width = max(width_of(key, look.text) for key, _ in KEYS) + look.gap
        width = key_width + max(width_of(what, look.text) for _, what in KEYS) + 3 * look.pad
        height = len(KEYS) * look.row + 2 * look.pad
        left, top = (image.shape[1] - width) // 2, max(0, (image.shape[0] - height) // 2)
        plate(image, (left, top, left + width, top + height), share=0.15)
        y = top + look.pad
        for key, what in KEYS:
            write(image, key, left + int(1.5 * look.pad), y, look.text)
            write(image, what, left + int(1.5 * look.pad) + key_width, y, look.text, PALE)
            y += look.row


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sizes in pixels for one size of frame."""

    width: int
    height: int
    text: int  # size of text
    large: int  # size of the word that announces an event
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
    small_row: int  # from one line of them to the next
    macro_lines: int  # heading and all macro-expressions; 1: the highest alone; 0: none
    axis: int  # size of the text under the timeline; 1: none
    strip: int  # height of the strip along the lower edge

    @classmethod
    def of(
        cls, width: int, height: int, labels: tuple[str, ...], macro_labels: tuple[str, ...]
    ) -> _Layout:
        text = max(_MIN_TEXT_PX, round(_TEXT_SHARE * min(width, height)))
        row = round(text * 1.3)
        pad = round(text * 0.6)
        axis = round(text * _SMALL_SHARE) if height >= 400 else 1
        small = max(_MIN_TEXT_PX, round(text * _SMALL_SHARE))
        small_row = round(small * 1.25)
        strip = row + round(0.085 * height) + round(axis * 1.3) + row + pad // 2
        mark = round(text * 1.15)
        words = [width_of(label, text) for label in labels]
        words += [width_of(label, small) for label in macro_labels]
        label = min(max(words), 9 * text) + pad
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
        width = 2 * self.pad + self.mark + self.label + self.bar + self.number
        height = (self.rows + 1) * self.row + round(1.5 * self.pad)
        if self.macro_lines:
            headings = 1 if self.macro_lines > 1 else 0
            height += self.pad // 2 + (headings + self.macro_lines) * self.small_row
        left = self.width - self.pad - width if on_the_right else self.pad
        return (left, self.pad, left + width, self.pad + height)


class _MacroList:
    """The scores of macro-expressions of one face: a heading and a small bar for each, or one
    line with the highest.

    They change a few times a second, so what is drawn is kept, on black, until they do.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._colours = colours_bgr(labels)
        self._marks = class_marks(labels)
        self._drawn_of: tuple[_Layout, MacroScores | None] | None = None
        self._drawn: UInt8Array = np.empty((0, 0, 3), np.uint8)

    def paint(
        self, image: UInt8Array, x: int, y: int, look: _Layout, scores: MacroScores | None
    ) -> None:
        """Lay the list over a plate, with its top left corner at (x, y)."""
        if self._drawn_of != (look, scores):
            self._drawn_of = (look, scores)
            self._drawn = self._draw(look, scores)
        height, width = self._drawn.shape[:2]
        target = view(image, (x, y, x + width, y + height))
        np.maximum(target, self._drawn[: target.shape[0], : target.shape[1]], out=target)

    def _draw(self, look: _Layout, scores: MacroScores | None) -> UInt8Array:
        width = look.mark + look.label + look.bar + look.number
        picture = np.zeros((look.macro_lines * look.small_row, width, 3), np.uint8)
        if look.macro_lines > 1:
            self._draw_all(picture, look, scores)
        else:
            self._draw_highest(picture, look, scores)
        return picture

    def _draw_highest(self, picture: UInt8Array, look: _Layout, scores: MacroScores | None) -> None:
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

    def _draw_all(self, picture: UInt8Array, look: _Layout, scores: MacroScores | None) -> None:
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
        look: _Layout,
        level: int,
        room_px: int,
    ) -> None:
        """Mark and word, the word no wider than `room_px`."""
        middle, radius = y + look.small_row // 2, look.small * 0.34
        left = x + look.text * 0.34
        paint_mark(picture, self._marks[label], left, middle, radius, self._colours[label])
        write(picture, shorten(label, look.small, room_px), x + look.mark, y, look.small, level)


class _Trace:
    """Scores of one face in the order of time."""

    def __init__(self, labels: int) -> None:
        self._times_s = np.empty(_TRACE_CAPACITY)
        self._probabilities = np.empty((_TRACE_CAPACITY, labels), np.float32)
        self._count = 0

    @property
    def last_s(self) -> float:
        return float(self._times_s[self._count - 1]) if self._count else float("-inf")

    def add(self, t_s: float, probabilities: tuple[float, ...]) -> None:
        """Scores that are not newer than the last are known already."""
        if t_s <= self.last_s:
            return
        if self._count == _TRACE_CAPACITY:
            half = _TRACE_CAPACITY // 2
            self._times_s[:half] = self._times_s[half:]
            self._probabilities[:half] = self._probabilities[half:]
            self._count = half
        self._times_s[self._count] = t_s
        self._probabilities[self._count] = probabilities
        self._count += 1

    def between(
        self, start_s: float, end_s: float
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
        """Times [n] and probabilities [n, labels] from start to end, both included."""
        times_s = self._times_s[: self._count]
        i = np.searchsorted(times_s, start_s, side="left")
        j = np.searchsorted(times_s, end_s, side="right")
        return times_s[i:j], self._probabilities[i:j]

    def at(self, now_s: float, max_age_s: float) -> npt.NDArray[np.float32] | None:
        """The newest scores at that moment; None where they are older than `max_age_s`."""
        _, probabilities = self.between(now_s - max_age_s, now_s)
        return probabilities[-1] if len(probabilities) else None


def _fitting(status: RunStatus, size_px: int, width_px: int, gap_px: int) -> list[str]:
    """The phrases of the status that fit side by side; causes of drops go first, then the
    device and what comes before it."""

    def needed(words: list[str]) -> int:
        return sum(width_of(word, size_px) + gap_px for word in words) - gap_px

    words = status.words()
    if needed(words) > width_px:
        words = status.words(causes=False)
    while words and needed(words) > width_px:
        words.pop()
    return words


def _area(face: Face) -> float:
    left, top, right, bottom = face.box_xyxy
    return (right - left) * (bottom - top)


def _overlap(box: Box, other: tuple[float, float, float, float]) -> float:
    """Area in pixels that two boxes share."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(0.0, width) * max(0.0, height)
