"""`EventTimeline`: the overlay's strip of the last seconds, and the flashes of events."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from realtime.display.overlay_layout import Layout
from realtime.drawing.markers import paint_mark
from realtime.drawing.palette import DIM, Bgr
from realtime.drawing.shapes import SUBPIXEL_BITS, Box, fill, plate, tint, view
from realtime.drawing.text import PALE, width_of, write
from realtime.spec import NONE_LABEL, ModelSpec
from realtime.types import Event, UInt8Array, Update

TIMELINE_S = 10.0
"""Length of the strip, in seconds."""

FLASH_S = 2.0
"""Seconds that the flash of an event stays: long enough to read three words and two numbers."""
_TRACE_CAPACITY = 8192  # scores kept of a face; 10 s of them at any rate that can be computed
_EVENTS_KEPT = 256  # of the strip and of the flashes, all faces together


class EventTimeline:
    """Strip of the last seconds: the scores of each face, and its events.

    `colours_bgr`, `marks`: colour and marker of each label.
    """

    def __init__(
        self, spec: ModelSpec, colours_bgr: Mapping[str, Bgr], marks: Mapping[str, str]
    ) -> None:
        self._labels = spec.labels
        self._classes = [i for i, label in enumerate(spec.labels) if label != NONE_LABEL]
        self._colours = colours_bgr
        self._marks = marks
        # Scores further apart than a window were interrupted: no line joins them.
        self._gap_s = max(0.5, spec.frames / spec.rate_hz)
        self._traces: dict[int, _Trace] = {}
        self._events: deque[tuple[float, Event]] = deque(maxlen=_EVENTS_KEPT)

    def add(self, update: Update) -> None:
        """Keep the scores and events of an update; a second time does no harm."""
        now_s = update.frame.t_s
        for scores in update.scores:
            trace = self._traces.setdefault(scores.face_id, _Trace(len(self._labels)))
            trace.add(scores.t_s, scores.probabilities)
        known = {event for _, event in self._events}
        self._events.extend((now_s, event) for event in update.events if event not in known)
        start_s = now_s - 2 * TIMELINE_S
        self._traces = {i: trace for i, trace in self._traces.items() if trace.last_s >= start_s}

    def latest(self, face_id: int | None, now_s: float) -> npt.NDArray[np.float32] | None:
        """Return the newest probabilities of a face [labels], unless they are too old."""
        trace = self._traces.get(face_id) if face_id is not None else None
        return trace.at(now_s, self._gap_s) if trace else None

    def paint(
        self, image: UInt8Array, box: Box, now_s: float, look: Layout, face_id: int | None
    ) -> None:
        """Paint the scores and events of a face over the last `TIMELINE_S` into the box."""
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

        self._paint_spans(image, plot, (left, top), (start_s, now_s), look, face_id)
        trace = self._traces.get(face_id) if face_id is not None else None
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
        corner_xy: tuple[int, int],
        span_s: tuple[float, float],
        look: Layout,
        face_id: int | None,
    ) -> None:
        """Paint a band for each event of the face that is shown, newest first.

        Where two words would meet, the newer word is written.
        """
        (left, top), (start_s, now_s) = corner_xy, span_s
        pixels_per_s = (plot.shape[1] - 1) / TIMELINE_S
        free_until = image.shape[1]
        for _, event in reversed(self._events):
            if event.face_id != face_id or not start_s < event.offset_s <= now_s:
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

    def paint_flashes(
        self, image: UInt8Array, now_s: float, strip_top: int, look: Layout, *, with_face: bool
    ) -> None:
        """Paint the newest events, each on a plate of its own above the strip.

        `with_face`: name the face of each event.
        """
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
        """Keep scores, unless they are not newer than the last, which are known already."""
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
        """Return times [n] and probabilities [n, labels] from start to end, both included."""
        times_s = self._times_s[: self._count]
        i = np.searchsorted(times_s, start_s, side="left")
        j = np.searchsorted(times_s, end_s, side="right")
        return times_s[i:j], self._probabilities[i:j]

    def at(self, now_s: float, max_age_s: float) -> npt.NDArray[np.float32] | None:
        """Return the newest scores at that moment; None if they are older than `max_age_s`."""
        _, probabilities = self.between(now_s - max_age_s, now_s)
        return probabilities[-1] if len(probabilities) else None
