"""The overlay's strip of the last seconds, and the flashes of events."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TIMELINE_S = 10.0
"""Seconds that the timeline strip shows."""

FLASH_S = 2.0
"""Seconds for which an event is announced: long enough to read three words and two numbers."""
_TRACE_CAPACITY = 8192  # scores kept of a face; 10 s of them at any rate that can be computed
SUBPIXEL_BITS = 4


class Trace:
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
