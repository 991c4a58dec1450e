"""Clock by which a recording is played as if it were live."""

from __future__ import annotations

import time

LONGEST_PAUSE_S = 5.0
"""Longest hole in a recording that is waited for; of a longer one, this much."""


class PlaybackClock:
    """Clock that states when the frames of a recording are due. Used by one thread."""

    def __init__(self) -> None:
        self._offset_s: float | None = None  # monotonic time minus the recording's
        self._last_s = 0.0

    @property
    def is_running(self) -> bool:
        """True once the clock was started."""
        return self._offset_s is not None

    def start(self, t_s: float) -> None:
        """Take the frame at `t_s`, in the recording's seconds, for the one that is due now."""
        self._offset_s = time.monotonic() - t_s
        self._last_s = t_s

    def due_s(self, t_s: float) -> float:
        """Return the monotonic time at which the next frame, at `t_s`, is due."""
        assert self._offset_s is not None
        too_long_s = t_s - self._last_s - LONGEST_PAUSE_S
        self._last_s = t_s
        if too_long_s > 0:
            self._offset_s -= too_long_s
        return t_s + self._offset_s

    def age_s(self, t_s: float) -> float | None:
        """Return the seconds since the frame at `t_s` was due; None before the start.

        Any thread may call it.
        """
        return None if self._offset_s is None else time.monotonic() - (t_s + self._offset_s)
