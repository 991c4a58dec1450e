"""Source that delivers every frame of a video file."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from realtime.errors import SourceError
from realtime.sources.decoding import PictureMaker, failure_reason, open_video_stream
from realtime.types import Frame, SourceInfo

CUT_S = 0.5
"""Most time by which a file may end earlier than its header states; more, and it was cut off.

Less is rounding, or a last frame without a length.
"""


class VideoFile:
    """Video file that delivers every frame, in presentation order, with its presentation time.

    `t_s` is the time that the file states, on the file's own clock (what ffprobe calls `pts_time`),
    so the first frame need not be at 0. Frames that cannot be decoded, have no time or do not
    follow the frame before them are left out and counted in `drops`.

    A file that was cut off delivers all that is readable and then raises SourceError. Entering
    raises SourceError for anything that is not a readable video. A source is entered once; a second
    iteration goes on where the first stopped.
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
        """Description of the file; known once the source is entered."""
        if self._info is None:
            raise RuntimeError("enter the source before asking for its info")
        return self._info

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            self._container = resources.enter_context(self._open())
            stream = open_video_stream(self._container)
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
        """Return None: a file's frames were captured at some other time."""
        return None

    def stop(self) -> None:
        """End the iteration before its next frame. Any thread may call it."""
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
                f"{self._path} is not a video, or a damaged one ({failure_reason(error)}); "
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
        make_picture = PictureMaker()
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
        """Yield the decoder's frames, and None for each packet that it could not decode."""
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
        """Yield the packets of the video stream, up to the end or to where the file breaks.

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
        """Return True if the file ends before the time that its header states.

        Only containers that write the length into a header are checked; others have it guessed.
        """
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
        """Return the message for a file without a readable frame."""
        if self.drops["no time"]:
            return (
                f"{self._path} does not say when its frames belong; "
                "put it into a container that does, such as MP4."
            )
        return f"No frame of {self._path} can be decoded; check that it plays, or copy it again."
