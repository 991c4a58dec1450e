"""`LiveSource`: base of live sources, with a capture thread and a count of dropped frames."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from types import TracebackType
from typing import NamedTuple, Self

from realtime.errors import SourceError
from realtime.forks import OpeningProcess
from realtime.types import Frame, SourceInfo, UInt8Array

log = logging.getLogger(__name__)

IDLE_S = 0.5
"""Time that the reader waits before `on_idle` is called, and between two calls.

Longer than the gap of any usable camera, shorter than a user's patience.
"""

STALENESS_S = 0.1
"""Most time that a live reader may be behind; further behind, it jumps to the newest frame.

Three frames at 30 Hz, and a third of the time within which an event has to be reported.
"""

BUFFER_S = 0.5
"""Length of the sliding buffer of captured frames: more than a reader may be behind."""

BUFFER_BYTES = 256 * 2**20
"""Upper bound of the same buffer: 0.5 s of 3840 x 2160 at 60 Hz would be 750 MB."""

JOIN_S = 2.0
"""Longest time that leaving a live source waits for its thread.

A camera or a stream that hangs cannot be interrupted, and its thread is left behind to end by
itself.
"""

RETRY_S = 0.5
"""Pause between two attempts to reconnect."""


class Picture(NamedTuple):
    """Picture as it was captured; the fields are those of `Frame`."""

    t_s: float
    image_bgr: UInt8Array
    after_cut: bool = False


class LiveSource(ABC):
    """Base of the sources that deliver whether or not they are read.

    One thread, started on entering, runs `_pictures` of the subclass and fills the buffer. The
    thread that entered iterates and leaves. `stop` may be called from any thread.
    Entering waits for the first frame. An error of the capture thread is raised again in the
    reader, with the traceback of where it happened. A source is entered once.
    """

    live = True

    def __init__(
        self,
        name: str,
        *,
        lost_cause: str = "camera lost",
        reconnect_s: float | None = None,
        silence_s: float | None = None,
        buffer_s: float = BUFFER_S,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        """Prepare the source; the thread starts on entering.

        `reconnect_s`: how long a source that broke is waited for; None: it ends there. `silence_s`:
        how long the reader waits for a frame from a capture thread that hangs; None: for ever.
        `buffer_s`, `buffer_bytes`: bounds of the frames that wait for a reader.
        """
        self.drops: Counter[str] = Counter()
        self.on_idle: Callable[[], None] | None = None
        self._name = name
        self._lost_cause = lost_cause
        self._reconnect_s = reconnect_s
        self._silence_s = None if silence_s is None else silence_s + (reconnect_s or 0.0)
        self._buffer_s = buffer_s
        self._buffer_bytes = buffer_bytes
        # The source's description; set by `_pictures` before its first image.
        self._rate_hz: float | None = None
        self._duration_s: float | None = None
        self._frame_count: int | None = None

        self._stopping = threading.Event()
        self._changed = threading.Condition()  # guards everything below
        self._buffer: deque[Frame] = deque()
        self._held_bytes = 0
        self._unread = 0  # frames captured since the last one that was delivered
        self._next_id = 0
        self._reading = False
        self._ended = False
        self._error: Exception | None = None
        self._opening_process: OpeningProcess
        # A daemon, because a driver that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=f"capture {name}", daemon=True)

    @property
    def info(self) -> SourceInfo:
        """Description of the source; known once it is entered."""
        with self._changed:
            if not self._buffer:
                raise RuntimeError("enter the source before asking for its info")
            height, width = self._buffer[-1].image_bgr.shape[:2]
        return SourceInfo(
            self._name, (width, height), self._rate_hz, self._duration_s, self._frame_count
        )

    def __enter__(self) -> Self:
        self._opening_process = OpeningProcess(self._name)
        with ExitStack() as undo:
            undo.callback(self._close)
            self._thread.start()
            with self._changed:
                self._wait_for_frame()
                if not self._buffer:
                    if self._error is not None:
                        raise self._error
                    raise SourceError(f"{self._name} delivered no picture; try another source.")
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def __iter__(self) -> Iterator[Frame]:
        if self._thread.ident is None:
            raise RuntimeError("enter the source before reading it")
        while (frame := self._next()) is not None:
            yield frame

    def stop(self) -> None:
        """End the iteration and the capture. Any thread may call it, more than once."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def age_s(self, frame: Frame) -> float | None:
        """Return the seconds since `frame` was captured. Any thread may call it."""
        return time.monotonic() - frame.t_s

    @abstractmethod
    def _pictures(self) -> Generator[Picture, None, None]:
        """Open the device and yield its pictures; runs in the capture thread.

        Returns at the end of the stream, raises SourceError when it cannot be opened or breaks.
        """

    def _close(self) -> None:
        if not self._opening_process.is_this:
            return
        self.stop()
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            log.warning("%s does not answer; its thread is left behind.", self._name)

    # The reader's side.

    def _wait_for_frame(self) -> None:
        silent_since_s = time.monotonic()
        while not self._changed.wait_for(
            lambda: self._unread or self._ended or self._stopping.is_set(), IDLE_S
        ):
            if self._silence_s is not None and time.monotonic() - silent_since_s > self._silence_s:
                raise SourceError(
                    f"{self._name} has delivered nothing for {self._silence_s:.0f} s; "
                    "reconnect it, or choose another source."
                )
            if self.on_idle is not None:
                self.on_idle()

    def _next(self) -> Frame | None:
        self._opening_process.check()
        with self._changed:
            if not self._reading:
                self._reading = True
                self._changed.notify_all()
            self._wait_for_frame()
            if self._stopping.is_set():
                return None
            if not self._unread:
                if self._error is not None:
                    raise self._error
                return None
            is_kept = self._unread <= len(self._buffer)
            newest = self._buffer[-1]
            if not is_kept or newest.t_s - self._buffer[-self._unread].t_s > STALENESS_S:
                self.drops["late"] += self._unread - 1
                self._unread = 1
            frame = self._buffer[-self._unread]
            self._unread -= 1
            return frame

    # The capture thread's side.

    def _run(self) -> None:
        try:
            self._capture()
        except Exception as error:  # noqa: BLE001 - whatever it is, the reader raises it again
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _capture(self) -> None:
        lost_at_s: float | None = None
        while not self._stopping.is_set():
            with closing(self._pictures()) as pictures:
                try:
                    while not self._stopping.is_set():
                        picture = next(pictures, None)
                        if picture is None:
                            return
                        lost_at_s = None
                        self._put(picture)
                    return
                except SourceError as error:
                    if self._reconnect_s is None or not self._buffer or self._stopping.is_set():
                        raise
                    now_s = time.monotonic()
                    if lost_at_s is None:
                        lost_at_s = now_s
                        self._count_drop(self._lost_cause)
                        log.warning("%s was lost; waiting for it to come back.", self._name)
                    if now_s - lost_at_s >= self._reconnect_s:
                        raise SourceError(
                            f"{self._name} was lost and did not come back within "
                            f"{self._reconnect_s:.0f} s; check its connection and start again."
                        ) from error
            self._stopping.wait(RETRY_S)

    def _put(self, picture: Picture) -> None:
        t_s, image_bgr, after_cut = picture
        with self._changed:
            if self._buffer and not t_s > self._buffer[-1].t_s:
                self._count_drop("time not increasing")
                return
            self._buffer.append(Frame(self._next_id, t_s, image_bgr, after_cut))
            self._next_id += 1
            self._unread += 1
            self._held_bytes += image_bgr.nbytes
            while len(self._buffer) > 1 and (
                self._held_bytes > self._buffer_bytes or t_s - self._buffer[0].t_s > self._buffer_s
            ):
                self._held_bytes -= self._buffer.popleft().image_bgr.nbytes
            self._changed.notify_all()

    def _count_drop(self, cause: str, frames: int = 1) -> None:
        with self._changed:
            self.drops[cause] += frames
            self._next_id += frames
