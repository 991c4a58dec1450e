"""A visitor's camera: pictures that a page sends, as a source of frames."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from realtime.errors import SourceError
from realtime.sources.live_source import IDLE_S, STALENESS_S
from realtime.types import Frame, SourceInfo, UInt8Array
from realtime.web.live.protocol import Picture, ProtocolError

SILENCE_S = 20.0
"""Longest time without a picture; a connected page that is silent for longer has no camera."""

MAX_WAITING = 12
"""Most pictures that wait, whatever times a page gives them: STALENESS_S at 120 a second."""

MAX_DAMAGED = 30
"""Damaged pictures in a row that end a run, since no camera sends so many: 1 s at 30 a second."""


class BrowserCamera:
    """Source of a page's pictures; a `realtime.types.Source` for one run.

    `put`, `pause` and `go_on` belong to the thread that reads the page's messages and never wait;
    the rest is as `Source` states. A reader that is behind by more than STALENESS_S jumps to the
    newest picture, and pictures are decoded when they are read, so those jumped over cost nothing.
    Entering waits for the first picture that can be decoded.

    `Frame.t_s` is the page's own clock. `Frame.id` has a hole for every frame that was lost on
    its way; causes in `drops`: `page missed` (the page never saw it), `page busy` (it dropped
    it for a newer frame, or lost it otherwise), `late` (the reader was too slow), `damaged`.

    The iteration raises SourceError when no picture comes for `silence_s` while the page is
    connected, and ProtocolError after `MAX_DAMAGED` damaged pictures in a row.
    """

    live = True

    def __init__(self, *, silence_s: float = SILENCE_S) -> None:
        self.drops: Counter[str] = Counter()
        self.on_idle: Callable[[], None] | None = None
        self.seq = -1
        """`Picture.seq` of the last frame that was delivered."""
        self._silence_s = silence_s
        self._size_wh: tuple[int, int] | None = None
        self._first: Frame | None = None  # decoded on entering, not yet delivered
        self._damaged_in_a_row = 0

        self._changed = threading.Condition()  # guards all that follows, and `drops`
        self._waiting: deque[tuple[int, Picture]] = deque()  # with their ids
        self._newest: Picture | None = None
        self._next_id = 0
        self._received_s = time.monotonic()
        self._is_paused = False
        self._is_stopped = False

    # The page's side.

    def put(self, picture: Picture) -> None:
        """Take the next picture. Raises ProtocolError when it does not follow the last picture."""
        with self._changed:
            before = self._newest or Picture(-1, -1.0, 0, 0, (0, 0), b"")
            if picture.seq <= before.seq:
                raise ProtocolError("frames came in the wrong order")
            if picture.t_ms <= before.t_ms:
                raise ProtocolError("the time of the frames does not increase")
            missed = picture.missed - before.missed
            replaced = picture.replaced - before.replaced
            if missed < 0 or replaced < 0:
                raise ProtocolError("the counts of lost frames went back")
            # A page may number the frames that it sends, or all that it saw.
            self._count("page missed", missed)
            self._count("page busy", max(replaced, picture.seq - before.seq - 1))
            self._newest = picture
            self._waiting.append((self._next_id, picture))
            self._next_id += 1
            oldest = self._waiting[0][1]
            if len(self._waiting) > MAX_WAITING or picture.t_ms - oldest.t_ms > STALENESS_S * 1e3:
                self.drops["late"] += len(self._waiting) - 1
                self._waiting = deque([self._waiting[-1]])
            self._received_s = time.monotonic()
            self._changed.notify_all()

    @property
    def is_untouched(self) -> bool:
        """True if no picture has come yet."""
        return self._newest is None

    def pause(self) -> None:
        """Allow silence until `go_on`: the page's socket is gone."""
        with self._changed:
            self._is_paused = True

    def go_on(self) -> None:
        """Expect pictures again: the page is back."""
        with self._changed:
            self._is_paused = False
            self._received_s = time.monotonic()

    def _count(self, cause: str, frames: int) -> None:
        if frames:
            self.drops[cause] += frames
            self._next_id += frames

    # The reader's side.

    @property
    def info(self) -> SourceInfo:
        if self._size_wh is None:
            raise RuntimeError("enter the source before asking for its info")
        return SourceInfo("browser camera", self._size_wh)

    def __enter__(self) -> Self:
        self._first = self._next()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Frame]:
        if self._size_wh is None and not self._is_stopped:
            raise RuntimeError("enter the source before reading it")
        first, self._first = self._first, None
        if first is not None and not self._is_stopped:
            yield first
        while (frame := self._next()) is not None:
            yield frame

    def stop(self) -> None:
        """End the iteration, also before it has begun. Any thread may call it."""
        with self._changed:
            self._is_stopped = True
            self._waiting.clear()
            self._changed.notify_all()

    def age_s(self, frame: Frame) -> float | None:
        """Return None: the page's clock is not this machine's."""
        return None

    def _next(self) -> Frame | None:
        """Wait for the next picture that can be decoded; return None once the source is stopped."""
        while True:
            with self._changed:
                self._wait_for_picture()
                if self._is_stopped:
                    return None
                frame_id, picture = self._waiting.popleft()
            image_bgr = decode(picture)
            if image_bgr is not None:
                self._damaged_in_a_row = 0
                self._size_wh = picture.size_wh
                self.seq = picture.seq
                return Frame(frame_id, picture.t_ms / 1e3, image_bgr)
            self._damaged_in_a_row += 1
            with self._changed:
                self.drops["damaged"] += 1
            if self._damaged_in_a_row >= MAX_DAMAGED:
                raise ProtocolError(f"{MAX_DAMAGED} pictures in a row were damaged")

    def _wait_for_picture(self) -> None:
        while not self._changed.wait_for(lambda: self._waiting or self._is_stopped, IDLE_S):
            if not self._is_paused and time.monotonic() - self._received_s > self._silence_s:
                raise SourceError(
                    f"No picture has come from the camera for {self._silence_s:.0f} s; "
                    "check that it is on, and start again."
                )
            if self.on_idle is not None:
                self.on_idle()


def decode(picture: Picture) -> UInt8Array | None:
    """Decode a picture to uint8 [height, width, 3], BGR; return None for a damaged picture.

    A cut-off JPEG counts as damaged: what decoders fill in for the rest would look like motion.
    """
    if not picture.jpeg.endswith(b"\xff\xd9"):
        return None
    try:
        image = cv2.imdecode(
            np.frombuffer(picture.jpeg, np.uint8),
            # Rotated, it would not match the picture that the page draws on.
            cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
        )
    except cv2.error:
        return None
    if image is None or image.shape[1::-1] != picture.size_wh:
        return None
    return np.asarray(image, np.uint8)
