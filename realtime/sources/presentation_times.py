"""Times at which decoded frames are shown, also where a container states them badly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av

DECODE_TIMES_ONLY = frozenset({"avi", "asf"})
"""Containers that state when a packet is to be decoded, and not when its picture is shown.

FFmpeg makes presentation times up for them, which run backwards where pictures are reordered.
"""

BACK_S = 1.0
"""Most time by which a clock may run backwards by mistake; more, and another recording begins."""

AHEAD_S = 86_400.0
"""Longest hole in a recording; after a longer one, the clock of the camera was set.

Cameras that wait for motion leave holes of a night.
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """Time of a frame. `after_cut`: True if the clock was changed before it, see `Frame`."""

    t_s: float
    after_cut: bool = False


class PresentationTimes:
    """Clock of one stream's decoded frames.

    Feed it with every packet of the stream before it is decoded, and call it with every frame that
    the decoder gives, or `lose` what it cannot decode. The times are the container's own
    presentation times, with three exceptions:

    - Where the container states decode times only, a frame's time is that of the packet with which
      the decoder gave it out, less the decoder's delay at the first frame.
    - Where presentation times have run backwards more often than decode times, these are used, as
      FFmpeg does (`best_effort_timestamp`).
    - Where the clock jumps back by more than BACK_S or ahead by more than AHEAD_S, it goes on
      without a hole after the last frame, and one drop is counted, since nobody knows how many
      frames are missing.

    Frames that are damaged, have no time, or none after 0 and the frame before them, are left out;
    a player does not show them either.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        count_drop: Callable[[str], None],
    ) -> None:
        """Start the clock. `count_drop`: called with the cause for each frame that is left out."""
        formats = set(container.format.name.split(","))
        self._has_decode_times_only = bool(DECODE_TIMES_ONLY & formats)
        self._base_s: Fraction = stream.time_base or Fraction(1, av.time_base)
        self._count_drop = count_drop
        self._key_dts: int | None = None  # of the packet from which the first frame is decoded
        self._delay: int | None = None  # ticks from a packet to its picture
        self._last_pts = self._last_dts = -math.inf
        self._faults = Counter[str]()  # times that did not advance, by kind
        self._stated_s = -math.inf  # of the last frame that was given a time
        self._step_s = 0.0  # from the frame before it
        self._offset_s = 0.0  # by which cuts have moved the clock

    def feed(self, packet: av.Packet) -> None:
        """Take the next packet of the stream."""
        if self._key_dts is None and packet.is_keyframe:
            self._key_dts = packet.dts

    def lose(self) -> None:
        """Count the last packet, which cannot be decoded."""
        self._count_drop("damaged")
        if self._delay is None:
            self._key_dts = None  # the first frame is decoded from a later packet

    def __call__(self, frame: av.VideoFrame) -> Moment | None:
        """Return when the next frame is shown; None: it is left out, and counted."""
        stated_s = self._shown_s(frame) if self._has_decode_times_only else self._best_s(frame)
        if frame.is_corrupt:
            self._count_drop("damaged")
            return None
        if stated_s is None:
            self._count_drop("no time")
            return None
        if stated_s < 0:
            self._count_drop("before time 0")
            return None
        ahead_s = stated_s - self._stated_s
        after_cut = math.isfinite(ahead_s) and not -BACK_S <= ahead_s <= AHEAD_S
        if after_cut:
            self._count_drop("clock changed")
            self._offset_s += self._stated_s + self._step_s - stated_s
        elif ahead_s <= 0:
            self._count_drop("time not increasing")
            return None
        elif math.isfinite(ahead_s):
            self._step_s = ahead_s
        self._stated_s = stated_s
        return Moment(stated_s + self._offset_s, after_cut)

    def _shown_s(self, frame: av.VideoFrame) -> float | None:
        """Return the time of a frame whose container states decode times only."""
        if frame.dts is None:  # one of the last, which come out without a packet
            return None if self._step_s == 0.0 else self._stated_s + self._step_s
        if self._delay is None:
            self._delay = frame.dts - (frame.dts if self._key_dts is None else self._key_dts)
        return float((frame.dts - self._delay) * self._base_s)

    def _best_s(self, frame: av.VideoFrame) -> float | None:
        """Return a frame's presentation time, or its decode time where that is more reliable."""
        if frame.pts is not None:
            self._faults["pts"] += frame.pts <= self._last_pts
            self._last_pts = frame.pts
        if frame.dts is not None:
            self._faults["dts"] += frame.dts <= self._last_dts
            self._last_dts = frame.dts
        is_reliable = self._faults["pts"] <= self._faults["dts"]
        ticks = frame.pts if is_reliable or frame.dts is None else frame.dts
        ticks = frame.dts if ticks is None else ticks
        return None if ticks is None else float(ticks * self._base_s)
