"""Status of a run: rates, latency and drops, for the status line."""

from __future__ import annotations

import math
import statistics
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from realtime.faces.conditions import image_warning, warnings
from realtime.types import Source, Update

SPAN_S = 2.0
"""Length of the past over which rates are measured."""

REFRESH_S = 0.5
"""Time between two changes of the status; faster numbers only flicker."""

AGES = 60
"""Number of the last frames whose latency is summarised."""

TOO_SLOW = 0.6
"""Share of the model's rate below which a camera has most of its slots interpolated."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Status of a run at one moment; None: not known yet.

    `fps_in`: frames a second from the source; `fps_scored`: scores a second. `latency_ms`: from the
    capture of a frame until it is shown. `drops`: frames lost so far, by cause. `device`: what the
    model runs on. `warning`: something that the user should change, as in "camera 12 fps, model
    wants 30".
    """

    fps_in: float | None = None
    fps_scored: float | None = None
    latency_ms: float | None = None
    drops: Mapping[str, int] = field(default_factory=dict)
    device: str = ""
    warning: str = ""

    @property
    def dropped(self) -> int:
        """Number of frames lost so far, whatever the cause."""
        return sum(self.drops.values())

    @property
    def drops_by_cause(self) -> str:
        """Text such as "camera 3, model busy 12"; empty when nothing was lost."""
        return ", ".join(f"{cause} {count}" for cause, count in self.drops.items() if count)

    def words(self, *, causes: bool = True) -> list[str]:
        """Return the status as short phrases, the most important first.

        `causes`: add the causes of the drops.
        """
        drops = f"{self.dropped} dropped"
        if causes and self.dropped:
            drops += f" ({self.drops_by_cause})"
        phrases = [
            f"{self.fps_in:.1f} fps in" if self.fps_in is not None else "",
            f"{self.fps_scored:.1f} scored" if self.fps_scored is not None else "",
            f"{self.latency_ms:.0f} ms" if self.latency_ms is not None else "",
            drops,
            self.device,
        ]
        return [phrase for phrase in phrases if phrase]


class RunMeter:
    """Meter of a run's rates, latency and drops, fed with the updates of one source.

    `rate_hz`: frames a second that the model wants; `device`: the device that it runs on; `drops`:
    returns the frames that the monitor has lost so far, by cause.
    """

    def __init__(
        self, source: Source, rate_hz: float, device: str, drops: Callable[[], Counter[str]]
    ) -> None:
        self._source = source
        self._wanted_hz = rate_hz
        self._device = device
        self._drops = drops
        self._frames_s: deque[float] = deque()
        self._scores_s: deque[float] = deque()
        self._ages_s: deque[float] = deque(maxlen=AGES)
        self._warned: Counter[str] = Counter()  # frames with each warning since the last status
        self._frames_since = 0
        self._status = RunStatus(device=device)
        self._next_s = -math.inf

    def measure(self, update: Update) -> RunStatus:
        """Return the status of the run with this update.

        The numbers change REFRESH_S apart, so that they can be read. `latency_ms` is the median of
        the last frames.
        """
        now_s = update.frame.t_s
        self._frames_s.append(now_s)
        self._scores_s.extend(sorted({scores.t_s for scores in update.scores}))
        self._frames_since += 1
        self._warned.update(
            {text for seen in update.conditions.values() for text in warnings(seen)}
        )
        if not update.faces and (text := image_warning(update.frame.image_bgr)):
            self._warned[text] += 1
        if now_s < self._next_s:
            return self._status
        self._next_s = now_s + REFRESH_S
        fps_in = _rate_hz(self._frames_s, now_s)
        is_slow = fps_in is not None and fps_in < TOO_SLOW * self._wanted_hz
        self._status = RunStatus(
            fps_in=fps_in,
            fps_scored=_rate_hz(self._scores_s, now_s),
            latency_ms=statistics.median(self._ages_s) * 1e3 if self._ages_s else None,
            drops=Counter(self._source.drops) + self._drops(),
            device=self._device,
            warning=f"camera {fps_in:.0f} fps, model wants {self._wanted_hz:.0f}"
            if is_slow
            else self._common_warning(),
        )
        self._warned.clear()
        self._frames_since = 0
        return self._status

    def _common_warning(self) -> str:
        """Return the most common warning about the conditions, or an empty text.

        Most frames since the last status must have had it.
        """
        text, count = next(iter(self._warned.most_common(1)), ("", 0))
        return text if 2 * count > self._frames_since else ""

    def shown(self, update: Update) -> None:
        """Record that an update is on the screen now, which is where its latency ends.

        Latency is known for live sources only.
        """
        age_s = self._source.age_s(update.frame)
        if age_s is not None:
            self._ages_s.append(age_s)


def _rate_hz(times_s: deque[float], now_s: float) -> float | None:
    """Return the events a second over the last SPAN_S; removes older times from `times_s`."""
    while times_s and times_s[0] < now_s - SPAN_S:
        times_s.popleft()
    if len(times_s) < 2 or times_s[-1] <= times_s[0]:
        return None
    return (len(times_s) - 1) / (times_s[-1] - times_s[0])
