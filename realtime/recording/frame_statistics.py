"""Number of frames, and statistics of the time between them."""

from __future__ import annotations

from array import array

import numpy as np


class FrameClock:
    """Counter of frames and of the times between them.

    `count`: frames so far. `first_s`: seconds of the first frame, None before it.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first_s: float | None = None
        self._last_s = 0.0
        self._gaps_s = array("d")

    def tick(self, t_s: float) -> None:
        """Count a frame at the moment `t_s`, seconds."""
        if self.first_s is None:
            self.first_s = t_s
        else:
            self._gaps_s.append(t_s - self._last_s)
        self._last_s = t_s
        self.count += 1

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last."""
        return 0.0 if self.first_s is None else round(self._last_s - self.first_s, 6)

    def statistics(self) -> dict[str, float] | None:
        """Return the median rate and percentiles of the time between frames; None before there are
        two frames."""
        if not self._gaps_s:
            return None
        p5, median, p95, longest = np.percentile(np.array(self._gaps_s), (5, 50, 95, 100))
        return {
            "median_hz": round(1 / float(median), 3) if median > 0 else 0.0,
            "gap_p5_s": round(float(p5), 6),
            "gap_median_s": round(float(median), 6),
            "gap_p95_s": round(float(p95), 6),
            "gap_max_s": round(float(longest), 6),
        }
