"""Windows that are uniform in time, from samples at whatever times the camera gave them.

Cameras run at 15 to 240 frames a second and jitter; a network wants slots of equal length. So time
is cut into slots of 1 / rate_hz, and only then into windows.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from realtime.spec import ModelSpec
from realtime.types import RegionSample, UInt8Array, Window


@dataclass(frozen=True, slots=True)
class Slot:
    """One tick of the uniform clock.

    `t_s`: time of the slot's centre. `regions`: uint8 [R, H, W]. `is_first`: the clock was
    (re)started here, so earlier slots have no part in any window with this slot.
    """

    t_s: float
    regions: UInt8Array
    is_first: bool


class UniformClock:
    """Clock that resamples one face's regions to slots of 1 / rate_hz seconds.

    It goes by real timestamps. A slot is the mean of the samples nearest to its centre when there
    are any (camera at least as fast as the clock), and a linear interpolation between its
    neighbours when there is none (camera slower). A slot is given out when the first later sample
    arrives. After a hole of more than `max_gap_s` the clock starts anew: nothing is made up for
    what was not seen.
    """

    def __init__(self, rate_hz: float, max_gap_s: float) -> None:
        self._rate_hz = rate_hz
        self._max_gap_s = max_gap_s
        self.restart()

    def restart(self) -> None:
        """Forget everything; the next sample starts a new clock."""
        self._origin_s = 0.0
        self._last: tuple[float, UInt8Array] | None = None
        self._index = 0  # of the slot that is being filled
        self._sum: npt.NDArray[np.uint32] | UInt8Array | None = None
        self._count = 0

    def push(self, t_s: float, regions: UInt8Array) -> Iterator[Slot]:
        """Take one sample (uint8 [R, H, W]); yield the slots that are now complete, in order.

        Raises ValueError when time does not advance.
        """
        if self._last is not None and t_s <= self._last[0]:
            raise ValueError(f"time must advance: {t_s} s came after {self._last[0]} s")
        if self._last is not None and t_s - self._last[0] > self._max_gap_s:
            self.restart()
        if self._last is None:
            self._origin_s, self._last, self._sum, self._count = t_s, (t_s, regions), regions, 1
            return
        index = round((t_s - self._origin_s) * self._rate_hz)
        if index == self._index:
            assert self._sum is not None
            self._sum = self._sum + regions.astype(np.uint32)
            self._count += 1
        else:
            yield self._finished()
            for missing in range(self._index + 1, index):
                yield self._interpolated(missing, t_s, regions)
            self._index, self._sum, self._count = index, regions, 1
        self._last = (t_s, regions)

    def flush(self) -> Iterator[Slot]:
        """Yield the last slot, if any, at the end of a recording; then start anew."""
        if self._last is not None:
            yield self._finished()
        self.restart()

    def _finished(self) -> Slot:
        assert self._sum is not None
        if self._count == 1:
            regions = self._sum.astype(np.uint8, copy=False)
        else:
            regions = ((self._sum + self._count // 2) // self._count).astype(np.uint8)
        return Slot(self._time_s(self._index), regions, is_first=self._index == 0)

    def _interpolated(self, index: int, next_s: float, after: UInt8Array) -> Slot:
        assert self._last is not None
        before_s, before = self._last
        share = np.float32((self._time_s(index) - before_s) / (next_s - before_s))
        mixed = before + share * (after.astype(np.float32) - before)
        return Slot(self._time_s(index), np.rint(mixed).astype(np.uint8), is_first=False)

    def _time_s(self, index: int) -> float:
        return self._origin_s + index / self._rate_hz


class SignalStage(Protocol):
    """Stage that turns the slots of one face, in order, into the network's input."""

    def restart(self) -> None: ...
    def __call__(self, regions: UInt8Array) -> npt.NDArray[np.generic] | None:
        """Return the signal of one slot: uint8 [R, H, W] to [R', H', W', C].

        None: this slot cannot be compared with those before it, so the window starts over.
        """
        ...


class GraySignal:
    """Signal of the papers: the gray regions themselves, uint8 [R, H, W, 1]."""

    def restart(self) -> None:
        """Do nothing: no state is kept from slot to slot."""

    def __call__(self, regions: UInt8Array) -> UInt8Array:
        """Return the regions with an axis for the channel."""
        return regions[..., np.newaxis]


class WindowBuilder:
    """Builder of the sliding windows of one face: clock, signal, and the last T slots.

    Each face has its own; used by one thread. Each slot's signal is computed once and shared by all
    its windows.
    """

    def __init__(self, spec: ModelSpec, signal: SignalStage) -> None:
        self._spec = spec
        self._clock = UniformClock(spec.rate_hz, spec.max_gap_s)
        self._signal = signal
        self._slots: deque[tuple[float, npt.NDArray[np.generic]]] = deque(maxlen=spec.frames)
        self._seen = 0
        self._last_s = math.inf  # of the last sample

    @property
    def is_warm(self) -> bool:
        """True once a full window has been seen since the last restart."""
        return self._seen >= self._spec.frames

    def restart(self) -> None:
        """Start over, baseline included."""
        self._clock.restart()
        self._last_s = math.inf
        self._forget()

    def push(self, sample: RegionSample) -> list[Window]:
        """Take one sample; return the windows that it completes, oldest first.

        Raises ValueError when time does not advance.
        """
        if sample.t_s - self._last_s > self._spec.max_gap_s:
            self._forget()
        self._last_s = sample.t_s
        windows = []
        for slot in self._clock.push(sample.t_s, sample.regions):
            if slot.is_first:
                self._forget()
            signal = self._signal(slot.regions)
            if signal is None:
                self._forget()
                continue
            self._slots.append((slot.t_s, signal))
            self._seen += 1
            if self.is_warm and (self._seen - self._spec.frames) % self._spec.hop == 0:
                windows.append(
                    Window(
                        face_id=sample.face_id,
                        start_s=self._slots[0][0],
                        end_s=self._slots[-1][0],
                        signal=np.stack([signal for _, signal in self._slots]),
                    )
                )
        return windows

    def _forget(self) -> None:
        self._slots.clear()
        self._seen = 0
        self._signal.restart()
