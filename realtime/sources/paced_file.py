"""Source that plays a video file at its own speed, as if live."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path

from realtime.sources.live_source import LiveSource, Picture
from realtime.sources.playback_clock import PlaybackClock
from realtime.sources.video_file import VideoFile
from realtime.types import Frame


class PacedFile(LiveSource):
    """Video file played at its own speed, as if it were live.

    `t_s` is the file's presentation time, as in `VideoFile`; when it loops, times go on after the
    end of the clip. Long holes in the file are cut short while it plays, see `PlaybackClock`.
    Playing starts with the first read, so that a reader that takes long to get ready misses
    nothing.
    """

    def __init__(self, path: Path | str, *, loop: bool = False) -> None:
        super().__init__(Path(path).name)
        self._path = Path(path)
        self._loop = loop
        self._clock = PlaybackClock()

    def age_s(self, frame: Frame) -> float | None:
        """Return the seconds since `frame` was due; None until the second frame is."""
        return self._clock.age_s(frame.t_s)

    def _pictures(self) -> Generator[Picture, None, None]:
        lap_offset_s = 0.0
        while True:
            with VideoFile(self._path) as file:
                self._rate_hz = file.info.rate_hz
                self._duration_s = file.info.duration_s
                self._frame_count = file.info.frame_count
                counted: Counter[str] = Counter()
                times_s: list[float] = []
                for frame in file:
                    counted = self._count_new(file.drops, counted)
                    t_s = frame.t_s + lap_offset_s
                    if self._clock.is_running:
                        due_s = self._clock.due_s(t_s)
                        if self._stopping.wait(max(0.0, due_s - time.monotonic())):
                            return
                    yield Picture(t_s, frame.image_bgr, frame.after_cut)
                    if not self._clock.is_running:
                        self._wait_for_reader()
                        self._clock.start(t_s)
                    times_s.append(frame.t_s)
                self._count_new(file.drops, counted)
            if not self._loop:
                return
            # The last frame is shown for as long as the one before it.
            last_frame_s = times_s[-1] - times_s[-2] if len(times_s) > 1 else 1.0
            lap_offset_s += times_s[-1] + last_frame_s - times_s[0]

    def _count_new(self, drops: Counter[str], counted: Counter[str]) -> Counter[str]:
        """Count the drops that `drops` has beyond `counted`; return a copy of `drops`."""
        for cause, frames in (drops - counted).items():
            self._count_drop(cause, frames)
        return drops.copy()

    def _wait_for_reader(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._reading or self._stopping.is_set())
