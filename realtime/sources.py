"""Where frames come from: cameras, video files, network streams and the built-in demo clip.

There are two ways to hand out frames. A file waits: `VideoFile` delivers every frame, however
long the reader takes. Everything live has its latest frame read: a thread of its own captures
into a sliding buffer (`LiveSource`), and a reader that falls behind by more than `STALENESS_S`
jumps to the newest frame. Whatever is not delivered is counted in `drops` with its cause and
leaves a hole in the ids; no frame is ever made up.

Causes in `drops`: `late` (the reader was too slow), `damaged` (could not be decoded), `no time`
(the file does not say when the frame belongs), `time not increasing` (not after the frame
before it), `size changed`, `camera lost` and `connection lost` (one for each outage, because
nobody knows how many frames it swallowed).
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from realtime.errors import SourceError
from realtime.types import Frame, Source, SourceInfo, UInt8Array

log = logging.getLogger(__name__)

DEMO_PATH = Path(__file__).parent / "demo" / "demo.mp4"
"""The clip that is played where there is no camera."""

IDLE_S = 0.5
"""How long the reader waits before `on_idle` is called, and between two calls: longer than the
gap of any usable camera, shorter than a user's patience."""

STALENESS_S = 0.1
"""A live reader further behind than this jumps to the newest frame; three frames at 30 Hz, and
a third of the time within which an event has to be reported."""

BUFFER_S = 4.0
"""What a live source keeps for `recent`: an expression of 0.5 s with room on both sides."""

BUFFER_BYTES = 256 * 2**20
"""Upper bound of the same buffer: 4 s of 640 x 480 at 60 Hz is 221 MB."""

JOIN_S = 2.0
"""How long leaving a live source waits for its thread; a camera or a stream that hangs cannot be
interrupted, and its thread is left behind to end by itself."""

RECONNECT_S = 10.0
"""How long a lost camera or stream is waited for: long enough to plug a cable in again."""

RETRY_S = 0.5
"""Pause between two attempts to reconnect."""

SILENCE_S = 10.0
"""A camera or stream that is there but delivers nothing for this long has failed; OpenCV's
V4L2 driver waits as long for one frame."""

CAMERA_RATES_HZ = (60.0, 30.0)
"""Frame rates that a camera is asked for, best first: 60 Hz puts three frames into the shortest
micro-expression (1/25 s), and more only costs light."""

CAMERA_BUFFERS = 2
"""Frames that the driver may hold: one is filled while the other is decoded."""

CAMERAS_TRIED = 3
"""Indices that are tried on systems that do not list their cameras."""

NETWORK_OPEN_S = 8.0
"""Time for a stream to answer and show what it holds; RTSP cameras take up to some seconds."""

NETWORK_READ_S = 5.0
"""A stream that sends nothing for this long is lost."""

CUT_S = 0.5
"""A file that ends earlier than its header says by more than this has been cut off; less is
rounding, or a last frame without a length."""

_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class _PictureMaker:
    """Decoded frames to upright BGR pictures. One conversion context is kept for all frames:
    a new one for each costs time."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame, rotation: int) -> UInt8Array:
        """uint8 [height, width, 3], turned by `rotation` degrees, counter-clockwise."""
        picture = np.ascontiguousarray(
            self._reformatter.reformat(frame, format="bgr24").to_ndarray(), dtype=np.uint8
        )
        turn = _TURNS.get(rotation % 360)
        return picture if turn is None else cv2.rotate(picture, turn).astype(np.uint8, copy=False)


def _video_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The best stream of moving pictures, or None; the cover of a song is not one, and neither
    is a text file, which FFmpeg would draw as a terminal."""
    moving = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    is_text = container.format.name == "tty"
    if not moving or is_text:
        return None
    best = container.streams.best("video")
    stream = next((stream for stream in moving if stream is best), moving[0])
    return None if stream.codec_context is None else stream


def _reason(error: av.FFmpegError) -> str:
    return (error.strerror or str(error)).rstrip(".")


class VideoFile:
    """Every frame of a video file, in presentation order, with its presentation time.

    `t_s` is the time that the file states, on the file's own clock (what ffprobe calls
    `pts_time`), so the first frame need not be at 0. Frames that cannot be decoded, have no
    time or do not follow the frame before them are left out and counted in `drops`.

    A file that was cut off delivers all that is readable and then raises SourceError. Entering
    raises SourceError for anything that is not a readable video. One source is entered once;
    a second iteration goes on where the first one stopped.
    """

    live = False

    def __init__(self, path: Path | str) -> None:
        self.on_idle: Callable[[], None] | None = None  # a file is never waited for
        self.drops: Counter[str] = Counter()
        self._path = Path(path)
        self._stopping = threading.Event()
        self._resources = ExitStack()
        self._container: av.container.InputContainer
        self._stream: av.VideoStream
        self._time_base: Fraction  # seconds for each tick of the stream's clock
        self._frames: Iterator[Frame] = iter(())
        self._info: SourceInfo | None = None
        self._broken: av.FFmpegError | None = None
        self._read_to_s = 0.0

    @property
    def info(self) -> SourceInfo:
        if self._info is None:
            raise RuntimeError("enter the source before asking for its info")
        return self._info

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            self._container = resources.enter_context(self._open())
            stream = _video_stream(self._container)
            if stream is None:
                raise SourceError(f"{self._path} holds no video; choose a video file.")
            stream.thread_type = "AUTO"
            self._stream = stream
            self._time_base = stream.time_base or Fraction(1, av.time_base)
            decoded = resources.enter_context(closing(self._decode()))
            first = next(decoded, None)
            if first is None:
                raise SourceError(self._nothing_readable()) from self._broken
            self._info = self._describe(first)
            # Closed before the container is.
            self._frames = resources.enter_context(closing(self._read(first, decoded)))
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resources.close()

    def __iter__(self) -> Iterator[Frame]:
        if self._info is None:
            raise RuntimeError("enter the source before reading it")
        return self._frames

    def age_s(self, frame: Frame) -> float | None:
        """None: a file's frames were captured at some other time."""
        return None

    def stop(self) -> None:
        """Ends the iteration before its next frame. Any thread may call it."""
        self._stopping.set()

    def _open(self) -> av.container.InputContainer:
        if self._path.is_dir():
            raise SourceError(f"{self._path} is a folder; name one video file in it.")
        if not self._path.exists():
            raise SourceError(f"The file {self._path} does not exist; check the path.")
        try:
            # The protocol is named, so that a colon in the file's name is not taken for one.
            return av.open(f"file:{self._path}")
        except PermissionError as error:
            raise SourceError(
                f"{self._path} may not be read; ask its owner for permission."
            ) from error
        except av.FFmpegError as error:
            raise SourceError(
                f"{self._path} is not a video, or a damaged one ({_reason(error)}); "
                "check that it plays, or copy it again."
            ) from error

    def _describe(self, first: Frame) -> SourceInfo:
        stream, container = self._stream, self._container
        rate = stream.average_rate or stream.guessed_rate
        duration_s = None
        if stream.duration is not None:
            duration_s = float(stream.duration * self._time_base)
        elif container.duration is not None:
            duration_s = container.duration / av.time_base
        height, width = first.image_bgr.shape[:2]
        state = self._path.stat()
        return SourceInfo(
            name=self._path.name,
            size_wh=(width, height),
            rate_hz=float(rate) if rate else None,
            duration_s=duration_s,
            frame_count=stream.frames or None,
            bytes=state.st_size,
            modified=datetime.fromtimestamp(state.st_mtime).astimezone().isoformat(),
        )

    def _read(self, first: Frame, decoded: Iterator[Frame]) -> Generator[Frame, None, None]:
        frame: Frame | None = first
        delivered = 0
        while frame is not None and not self._stopping.is_set():
            yield frame
            delivered += 1
            last_s = frame.t_s
            frame = next(decoded, None)
        if frame is None and (self._broken or self._is_cut()):
            raise SourceError(
                f"{self._path} is damaged: it ends after {delivered} frames, at {last_s:.2f} s; "
                "those were used, copy the file again to get the rest."
            ) from self._broken

    def _decode(self) -> Generator[Frame, None, None]:
        make_picture = _PictureMaker()
        delivered, last_s = 0, -math.inf
        for frame in self._decoded():
            if frame is None or frame.is_corrupt:
                self.drops["damaged"] += 1
                continue
            ticks = frame.dts if frame.pts is None else frame.pts
            if ticks is None:
                self.drops["no time"] += 1
                continue
            t_s = float(ticks * self._time_base)
            if t_s <= last_s:
                self.drops["time not increasing"] += 1
                continue
            last_s = t_s
            yield Frame(delivered + self.drops.total(), t_s, make_picture(frame, frame.rotation))
            delivered += 1

    def _decoded(self) -> Iterator[av.VideoFrame | None]:
        """What the decoder gives out; None for what it could not decode."""
        codec = self._stream.codec_context
        for packet in self._packets():
            try:
                yield from codec.decode(packet)
            except av.error.InvalidDataError:
                yield None
        while True:
            try:
                yield from codec.decode(None)
                return
            except av.error.InvalidDataError:
                yield None  # and go on: frames behind the damaged one are still held
            except av.error.EOFError:
                return

    def _packets(self) -> Iterator[av.Packet]:
        """The packets of the video stream, up to the end or to where the file breaks.

        All streams are read, because some containers state only the length of the longest.
        """
        try:
            for packet in self._container.demux():
                if packet.size == 0:  # the demuxer's end mark
                    continue
                if packet.pts is not None:
                    end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    self._read_to_s = max(self._read_to_s, end_s)
                if packet.stream is self._stream:
                    yield packet
        except av.FFmpegError as error:
            self._broken = error

    def _is_cut(self) -> bool:
        """Whether the file ends before the time that its header states. Only containers that
        write the length into a header are asked; others have it guessed."""
        stream, container = self._stream, self._container
        if not {"mp4", "matroska", "avi"} & set(container.format.name.split(",")):
            return False
        if "avi" in container.format.name:  # its duration is adjusted to what is there
            stated_s = float(stream.frames * self._time_base)
        elif stream.duration is not None:
            stated_s = float(((stream.start_time or 0) + stream.duration) * self._time_base)
        elif container.duration is not None:
            stated_s = container.duration / av.time_base
        else:
            return False
        return stated_s - self._read_to_s > CUT_S

    def _nothing_readable(self) -> str:
        if self.drops["no time"]:
            return (
                f"{self._path} does not say when its frames belong; "
                "put it into a container that does, such as MP4."
            )
        return f"No frame of {self._path} can be decoded; check that it plays, or copy it again."


class LiveSource(ABC):
    """Base of the sources that deliver whether or not they are read.

    One thread, started on entering, runs `_pictures` of the subclass and fills the buffer.
    The thread that entered iterates and leaves. `stop` and `recent` may be called from any
    thread. Entering waits for the first frame. An error of the capture thread is raised again
    in the reader, with the traceback of where it happened. One source is entered once.
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
        """`reconnect_s`: how long a source that broke is waited for; None: it ends there.
        `silence_s`: how long the reader waits for a frame from a capture thread that hangs;
        None: for ever. `buffer_s`, `buffer_bytes`: bounds of what `recent` can give."""
        self.drops: Counter[str] = Counter()
        self.on_idle: Callable[[], None] | None = None
        self._name = name
        self._lost_cause = lost_cause
        self._reconnect_s = reconnect_s
        self._silence_s = None if silence_s is None else silence_s + (reconnect_s or 0.0)
        self._buffer_s = buffer_s
        self._buffer_bytes = buffer_bytes
        # What the source says of itself; set by `_pictures` before its first picture.
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
        # A daemon, because a driver that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=f"capture {name}", daemon=True)

    @property
    def info(self) -> SourceInfo:
        with self._changed:
            if not self._buffer:
                raise RuntimeError("enter the source before asking for its info")
            height, width = self._buffer[-1].image_bgr.shape[:2]
        return SourceInfo(
            self._name, (width, height), self._rate_hz, self._duration_s, self._frame_count
        )

    def __enter__(self) -> Self:
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
        """Ends the iteration and the capture. Any thread may call it, more than once."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def recent(self, seconds: float) -> list[Frame]:
        """The captured frames of the last `seconds`, also those that were not delivered, as far
        as the buffer reaches. Any thread may call it; the pictures are shared, not copied."""
        with self._changed:
            return [f for f in self._buffer if f.t_s >= self._buffer[-1].t_s - seconds]

    def age_s(self, frame: Frame) -> float | None:
        """Seconds since `frame` was captured. Any thread may call it."""
        return time.monotonic() - frame.t_s

    @abstractmethod
    def _pictures(self) -> Generator[tuple[float, UInt8Array], None, None]:
        """Opens the device and yields (t_s, image_bgr); runs in the capture thread. Returns at
        the end of the stream, raises SourceError when it cannot be opened or breaks."""

    def _close(self) -> None:
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
                        self._put(*picture)
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

    def _put(self, t_s: float, image_bgr: UInt8Array) -> None:
        with self._changed:
            if self._buffer and not t_s > self._buffer[-1].t_s:
                self._count_drop("time not increasing")
                return
            self._buffer.append(Frame(self._next_id, t_s, image_bgr))
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


class VideoCapture(Protocol):
    """What a camera has to offer: the part of cv2.VideoCapture that is used."""

    def isOpened(self) -> bool: ...
    def set(self, property_id: int, value: float, /) -> bool: ...
    def get(self, property_id: int, /) -> float: ...
    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, Any]: ...
    def release(self) -> None: ...


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """OpenCV prints warnings of its own while it tries cameras; what matters is raised."""
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        yield
    finally:
        cv2.setLogLevel(level)


def open_camera(index: int) -> VideoCapture:
    """Camera `index` of this machine; `isOpened()` says whether it is there."""
    backend = cv2.CAP_V4L2 if _is_linux() else cv2.CAP_ANY
    with _quiet_opencv():
        return cv2.VideoCapture(index, backend)


class Webcam(LiveSource):
    """A camera of this machine, at the best frame rate that it offers.

    `t_s` is the monotonic time at which the camera handed the frame over, before it was
    decoded. `info` says what size and rate were obtained. A camera that is unplugged is
    waited for; each outage counts once in `drops["camera lost"]`.
    """

    def __init__(
        self,
        index: int,
        *,
        size_wh: tuple[int, int] | None = None,
        reconnect_s: float = RECONNECT_S,
        silence_s: float = SILENCE_S,
        open_capture: Callable[[int], VideoCapture] = open_camera,
    ) -> None:
        """`size_wh`: width and height to ask for; None: the camera's own. `open_capture`:
        called in the capture thread with `index`, also to reconnect."""
        super().__init__(f"camera {index}", reconnect_s=reconnect_s, silence_s=silence_s)
        self._index = index
        self._size_wh = size_wh
        self._open_capture = open_capture

    def _pictures(self) -> Generator[tuple[float, UInt8Array], None, None]:
        try:
            yield from self._grabbed()
        except cv2.error as error:
            raise SourceError(f"Camera {self._index} broke; plug it in again.") from error
        raise SourceError(f"Camera {self._index} stopped; plug it in again.")

    def _grabbed(self) -> Iterator[tuple[float, UInt8Array]]:
        capture = self._opened()
        try:
            rate_hz = capture.get(cv2.CAP_PROP_FPS)
            self._rate_hz = rate_hz if math.isfinite(rate_hz) and rate_hz > 0 else None
            while capture.grab():
                t_s = time.monotonic()
                is_whole, image = capture.retrieve()
                if is_whole:
                    yield t_s, np.ascontiguousarray(image, dtype=np.uint8)
                else:
                    self._count_drop("damaged")
        finally:
            capture.release()

    def _opened(self) -> VideoCapture:
        """A camera that has delivered a frame; with the wished settings, or else its own."""
        for with_settings in (True, False):
            capture = self._open_capture(self._index)
            if capture.isOpened():
                if with_settings:
                    self._ask(capture)
                if capture.grab():
                    return capture
            capture.release()
        raise SourceError(
            f"Camera {self._index} cannot be used; check that it is plugged in and that no other "
            "program is using it (stream.py info lists the cameras)."
        )

    def _ask(self, capture: VideoCapture) -> None:
        # Uncompressed pictures do not fit through USB 2 at more than a few frames a second.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        if self._size_wh is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size_wh[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size_wh[1])
        for rate_hz in CAMERA_RATES_HZ:
            # Some cameras call 60 frames a second 59.94.
            capture.set(cv2.CAP_PROP_FPS, rate_hz)
            if capture.get(cv2.CAP_PROP_FPS) >= 0.95 * rate_hz:
                break
        capture.set(cv2.CAP_PROP_BUFFERSIZE, CAMERA_BUFFERS)


class NetworkStream(LiveSource):
    """A stream over the network: RTSP, HTTP, RTMP, UDP and what else FFmpeg reads.

    `t_s` is the monotonic time at which the frame came out of the decoder. A lost connection
    is tried again; each outage counts once in `drops["connection lost"]`. A recording that lies
    behind a URL is played at its own speed and ends; its `t_s` is when each frame was due.

    FFmpeg cannot be interrupted while it waits for data: `stop` ends the iteration at once, and
    the capture thread of a silent stream ends after `read_s` at the latest.
    """

    def __init__(
        self,
        url: str,
        *,
        open_s: float = NETWORK_OPEN_S,
        read_s: float = NETWORK_READ_S,
        reconnect_s: float = RECONNECT_S,
    ) -> None:
        """`open_s`, `read_s`: how long the stream may take to open and to send more data."""
        super().__init__(
            _without_password(url),
            lost_cause="connection lost",
            reconnect_s=reconnect_s,
            silence_s=open_s + read_s + RETRY_S,
        )
        self._url = url
        self._timeout_s = (open_s, read_s)

    def _pictures(self) -> Generator[tuple[float, UInt8Array], None, None]:
        # TCP: a lost UDP packet smears half a picture, which looks like motion.
        options = {"rtsp_transport": "tcp"} if self._url.startswith("rtsp") else {}
        try:
            with av.open(self._url, timeout=self._timeout_s, options=options) as container:
                yield from self._decode(container)
        except av.FFmpegError as error:
            raise SourceError(
                f"{self._name} cannot be read ({_reason(error)}); "
                "check the address and that the stream is on."
            ) from error

    def _decode(self, container: av.container.InputContainer) -> Iterator[tuple[float, UInt8Array]]:
        stream = _video_stream(container)
        if stream is None:
            raise SourceError(f"{self._name} holds no video; choose another address.")
        # Not by whole frames: those would come as many frames late as there are threads.
        stream.thread_type = "SLICE"
        rate = stream.average_rate or stream.guessed_rate
        self._rate_hz = float(rate) if rate else None
        is_recording = bool(container.duration)
        if container.duration:
            self._duration_s = container.duration / av.time_base
            self._frame_count = stream.frames or None
        make_picture = _PictureMaker()
        started_s: float | None = None
        for packet in container.demux(stream):
            try:
                frames = stream.codec_context.decode(packet)
            except av.error.InvalidDataError:
                self._count_drop("damaged")
                continue
            for frame in frames:
                t_s = time.monotonic()
                if frame.is_corrupt:
                    self._count_drop("damaged")
                    continue
                if is_recording and frame.time is not None:
                    if started_s is None:
                        started_s = t_s - frame.time
                    t_s = started_s + frame.time
                picture = make_picture(frame, frame.rotation)
                if self._stopping.wait(max(0.0, t_s - time.monotonic())):
                    return
                yield t_s, picture
        if not is_recording:
            raise SourceError(f"{self._name} has ended; check that the stream is still on.")


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


class PacedFile(LiveSource):
    """A video file played at its own speed, as if it were live.

    `t_s` is the file's presentation time, as in `VideoFile`; when it loops, times go on after
    the end of the clip. Playing starts with the first read, so that a reader that takes long
    to get ready misses nothing.
    """

    def __init__(self, path: Path | str, *, loop: bool = False) -> None:
        super().__init__(Path(path).name)
        self._path = Path(path)
        self._loop = loop
        self._clock_offset_s: float | None = None  # monotonic time minus presentation time

    def age_s(self, frame: Frame) -> float | None:
        """Seconds since `frame` was due; None until the second frame is."""
        if self._clock_offset_s is None:
            return None
        return time.monotonic() - (frame.t_s + self._clock_offset_s)

    def _pictures(self) -> Generator[tuple[float, UInt8Array], None, None]:
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
                    if self._clock_offset_s is not None:
                        due_s = t_s + self._clock_offset_s
                        if self._stopping.wait(max(0.0, due_s - time.monotonic())):
                            return
                    yield t_s, frame.image_bgr
                    if self._clock_offset_s is None:
                        self._wait_for_reader()
                        self._clock_offset_s = time.monotonic() - t_s
                    times_s.append(frame.t_s)
                self._count_new(file.drops, counted)
            if not self._loop:
                return
            # The last frame is shown for as long as the one before it.
            last_frame_s = times_s[-1] - times_s[-2] if len(times_s) > 1 else 1.0
            lap_offset_s += times_s[-1] + last_frame_s - times_s[0]

    def _count_new(self, drops: Counter[str], counted: Counter[str]) -> Counter[str]:
        """Takes over what `drops` has more than `counted`; returns what is counted now."""
        for cause, frames in (drops - counted).items():
            self._count_drop(cause, frames)
        return drops.copy()

    def _wait_for_reader(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._reading or self._stopping.is_set())


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that the system lists. `problem`: why it cannot be used, where that is known."""

    index: int
    name: str
    problem: str | None = None


def list_cameras() -> list[Camera]:
    """The cameras of this machine, by index. Linux is asked for its list, and no camera is
    touched; elsewhere the first few are opened for a moment."""
    if _is_linux():
        return _candidates()
    found = []
    for camera in _candidates():
        capture = open_camera(camera.index)
        if capture.isOpened():
            found.append(camera)
        capture.release()
    return found


def _is_linux() -> bool:
    return sys.platform.startswith("linux")


def _candidates() -> list[Camera]:
    """What Linux lists; elsewhere indices, which only opening shows to be cameras or not."""
    if _is_linux():
        return _linux_cameras(Path("/dev"), Path("/sys/class/video4linux"))
    return [Camera(index, f"camera {index}") for index in range(CAMERAS_TRIED)]


def _linux_cameras(devices: Path, classes: Path) -> list[Camera]:
    cameras = []
    for device in devices.glob("video*"):
        number = device.name.removeprefix("video")
        facts = classes / device.name
        # A camera has a second device, for metadata, that delivers no pictures.
        if not number.isdigit() or _text_of(facts / "index") not in ("", "0"):
            continue
        name = _text_of(facts / "name") or f"camera {number}"
        problem = None
        if not os.access(device, os.R_OK | os.W_OK):
            problem = f"no permission for {device}; add yourself to the group video"
        cameras.append(Camera(int(number), name, problem))
    return sorted(cameras, key=lambda camera: camera.index)


def _text_of(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""


def open_source(
    text: str,
    *,
    live: bool = True,
    loop_demo: bool = False,
    open_capture: Callable[[int], VideoCapture] = open_camera,
) -> tuple[Source, str]:
    """The source that `text` names, not yet entered, and a sentence that says which and why.

    `text`: `auto` (the first camera that delivers a frame, otherwise the demo clip), the index
    of a camera, a URL, `demo`, or the path of a video file. `live`: files are played at their
    own speed (`PacedFile`); otherwise every frame is delivered as fast as it is read
    (`VideoFile`). `loop_demo`: the demo clip starts over at its end, if it is played live.
    """
    if text == "auto":
        camera, why_not = _first_camera(open_capture)
        if camera is not None:
            return (
                Webcam(camera.index, open_capture=open_capture),
                f"Using camera {camera.index} ({camera.name}), the first that delivers a picture.",
            )
        return _demo(live, loop_demo), f"Using the built-in demo clip, because {why_not}."
    if text == "demo":
        return _demo(live, loop_demo), "Using the built-in demo clip."
    if text.isdecimal():
        return Webcam(int(text), open_capture=open_capture), f"Using camera {int(text)}."
    if "://" in text and not text.startswith("file://"):
        return NetworkStream(text), f"Using the stream {_without_password(text)}."
    path = Path(text.removeprefix("file://"))
    return (PacedFile(path) if live else VideoFile(path)), f"Using the file {path}."


def _demo(live: bool, loop: bool) -> Source:
    return PacedFile(DEMO_PATH, loop=loop) if live else VideoFile(DEMO_PATH)


def _first_camera(open_capture: Callable[[int], VideoCapture]) -> tuple[Camera | None, str]:
    """The first camera that delivers a frame, or None and why there is none."""
    problems = []
    for camera in _candidates():
        if camera.problem is not None:
            problems.append(f"camera {camera.index}: {camera.problem}")
            continue
        capture = open_capture(camera.index)
        delivers = capture.isOpened() and capture.grab()
        capture.release()
        if delivers:
            return camera, ""
        problems.append(f"camera {camera.index} is in use or not there")
    if not problems:
        return None, "no camera was found"
    return None, f"no camera delivers a picture ({'; '.join(problems)})"
