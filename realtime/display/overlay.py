"""Draw on a frame what the monitor knows: faces, scores, the last seconds, events, state.

Everything stands at the edge, thin, on dark translucent plates, and scales with the frame, so
that the picture of the face stays visible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from realtime.display.event_timeline import FLASH_S, SUBPIXEL_BITS, TIMELINE_S, Trace
from realtime.display.macro_list import MACRO_WORD, MICRO_WORD, MacroList
from realtime.display.overlay_layout import Layout, box_area, overlap_area
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
_MACRO_HELD_S = 1.0  # macro scores come twice a second; older ones were interrupted
_PRIMARY_MARGIN = 1.25  # another face has to be this much larger to take the panel over
_PANEL_HOLD_S = 1.0  # the panel does not change sides more often than this
_REGION_OPACITY = 0.5  # enough to be seen on skin, little enough to see the skin


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
        self._macro_list = MacroList(self._macro_labels)
        self._canvas: UInt8Array = np.empty((0, 0, 3), np.uint8)
        self._layout = Layout.of(0, 0, spec.labels, self._macro_labels)
        self._forget()

    def _forget(self) -> None:
        self._now_s = float("-inf")
        self._traces: dict[int, Trace] = {}
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
            trace = self._traces.setdefault(scores.face_id, Trace(len(self._labels)))
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
        show_help: bool = False,
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
        self._paint_flashes(image, now_s, strip_top, with_face=len(update.faces) > 1)
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
        """The largest face; the one shown so far stays unless another is clearly larger."""
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
        quads = ((outlines - origin) * (1 << SUBPIXEL_BITS)).round().astype(np.int32)
        shadows = quads + (1 << SUBPIXEL_BITS)
        cv2.polylines(lines, list(shadows), True, SHADOW, 1, cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.polylines(lines, list(quads), True, LIGHT, 1, cv2.LINE_AA, SUBPIXEL_BITS)
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
        one = 1 << SUBPIXEL_BITS
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
                cv2.polylines(plot, runs, False, colour, 1, cv2.LINE_AA, SUBPIXEL_BITS)
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
