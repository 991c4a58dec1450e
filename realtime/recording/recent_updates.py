"""The last seconds of a live run, for a recording that is asked for when they are over."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from realtime.types import Update

BEFORE_S = 4.0
"""Seconds before the key that a recording keeps unless told otherwise.

Whoever presses it has seen an expression of up to half a second, and takes a second or two.
"""

MOST_BYTES = 256 * 2**20
"""Most memory of the kept images; 4 s of 640 x 480 at 60 frames a second take 221 MB."""


class RecentUpdates:
    """Sliding buffer of a run's last updates, with the drops that were counted by then.

    It holds the frames as the source delivered them, and what the monitor found in them, so that
    nothing is computed again. `seconds`: its length; it is shorter where images would take more
    than `most_bytes`.
    """

    def __init__(self, seconds: float, most_bytes: int = MOST_BYTES) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._held: deque[tuple[Update, Counter[str]]] = deque()
        self._bytes = 0

    def add(self, update: Update, drops: Mapping[str, int]) -> None:
        """Take the next update, and the drops until it, by cause."""
        self._held.append((update, Counter(drops)))
        self._bytes += update.frame.image_bgr.nbytes
        newest_s = update.frame.t_s
        while self._held and (
            newest_s - self._held[0][0].frame.t_s >= self._seconds or self._bytes > self._most_bytes
        ):
            self._bytes -= self._held.popleft()[0].frame.image_bgr.nbytes

    def take(self, drops: Mapping[str, int]) -> tuple[list[Update], Counter[str]]:
        """Return the updates that are held, oldest first, and the drops until the oldest.

        Without any these are `drops`. Nothing is held after that.
        """
        updates = [update for update, _ in self._held]
        before = self._held[0][1] if self._held else Counter(drops)
        self._held.clear()
        self._bytes = 0
        return updates, before
