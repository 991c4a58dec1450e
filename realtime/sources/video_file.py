"""Source that delivers every frame of a video file."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from realtime.errors import SourceError
from realtime.forks import OpeningProcess
from realtime.sources.decoding import PictureMaker, failure_reason, open_video_stream
from realtime.sources.file_urls import local_path
from realtime.sources.presentation_times import PresentationTimes
from realtime.types import Frame, SourceInfo

VIDEO_SUFFIXES = (
    *(".264", ".265", ".3g2", ".3gp", ".asf", ".avc", ".avi", ".avs2", ".dav", ".dif", ".divx"),
    *(".dv", ".f4v", ".flv", ".gxf", ".h261", ".h263", ".h264", ".h265", ".hevc", ".insv"),
    *(".ismv", ".ivf", ".lrv", ".m1v", ".m2p", ".m2t", ".m2ts", ".m2v", ".m4v", ".mj2", ".mjpeg"),
    *(".mjpg", ".mk3d", ".mkv", ".mod", ".mov", ".mp4", ".mp4v", ".mpe", ".mpeg", ".mpg"),
    *(".mpv", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ser", ".tod"),
    *(".tp", ".trp", ".ts", ".vob", ".vvc", ".webm", ".wmv", ".wtv", ".y4m"),
)
"""Endings of videos in a folder that is searched; a file that is named itself may have any."""

CUT_S = 0.5
"""Most time by which a file may end earlier than its header states; more, and it was cut off.

Less is rounding, or a last frame without a length.
"""


MOST_HELD = 64
"""More frames than any decoder holds at the end of a file: 16 of H.264, and one a thread."""


class VideoFile:
    """Video file that delivers every frame, in presentation order, with its presentation time.

    `t_s` is the time that the file states, on the file's own clock (what ffprobe calls `pts_time`),
    so the first frame need not be at 0; see `PresentationTimes` for files that state it badly.
    Frames that cannot be decoded, have no time or do not follow the frame before them are left out
    and counted in `drops`; those at the file's beginning when the first frame is read.

    A file that was cut off delivers all that is readable and then raises SourceError. Entering
    raises SourceError for anything that is not a readable video. A source is entered once; a second
    iteration goes on where the first stopped.
    """

    live = False

    def __init__(self, path: Path | str) -> None:
        """Name the file: its path, or its address that begins with `file://`."""
        self.on_idle: Callable[[], None] | None = None  # a file is never waited for
        self.drops: Counter[str] = Counter()
        self._path = local_path(path)
        self._stopping = threading.Event()
        self._resources = ExitStack()
        self._opening_process: OpeningProcess  # of the decoder's threads
        self._container: av.container.InputContainer
        self._stream: av.VideoStream
        self._frames: Iterator[Frame] = iter(())
        self._info: SourceInfo | None = None
        self._lost_first: Counter[str] = Counter()  # before the first frame that can be read
        self._broken: av.FFmpegError | None = None
        self._read_to_s = 0.0

    @property
    def info(self) -> SourceInfo:
        """Description of the file; known once the source is entered."""
        if self._info is None:
            raise RuntimeError("enter the source before asking for its info")
        return self._info

    def __enter__(self) -> Self:
        self._opening_process = OpeningProcess(str(self._path))
        with ExitStack() as resources:
            self._container = resources.enter_context(self._open())
            stream = open_video_stream(self._container)
            if stream is None:
                raise SourceError(f"{self._path} holds no video; choose a video file.")
            if stream.codec_context is None:
                raise SourceError(
                    f"The pictures of {self._path} cannot be decoded, because their codec is not "
                    "known; convert the file to H.264 in MP4."
                )
            stream.thread_type = "AUTO"
            self._stream = stream
            decoded = resources.enter_context(closing(self._decode()))
            first = next(decoded, None)
            if first is None:
                raise SourceError(self._nothing_readable()) from self._broken
            self._info = self._describe(first)
            self._lost_first.update(self.drops)
            self.drops.clear()
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
        if self._opening_process.is_this:
            self._resources.close()

    def __iter__(self) -> Iterator[Frame]:
        if self._info is None:
            raise RuntimeError("enter the source before reading it")
        self._opening_process.check()
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
            duration_s = float(stream.duration * (stream.time_base or 0))
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
        self.drops.update(self._lost_first)
        frame: Frame | None = first
        delivered = 0
        while frame is not None and not self._stopping.is_set():
            yield frame
            self._opening_process.check()
            delivered += 1
            last_s = frame.t_s
            frame = next(decoded, None)
        if frame is None and (self._broken or self._is_cut()):
            raise SourceError(
                f"{self._path} is damaged: it ends after {delivered} frames, at {last_s:.2f} s; "
                "those were used, copy the file again to get the rest."
            ) from self._broken

    def _decode(self) -> Generator[Frame, None, None]:
        make_picture = PictureMaker(self._stream)
        times = PresentationTimes(self._container, self._stream, self._count_drop)
        delivered = 0
        for frame in self._decoded(times):
            moment = times(frame)
            if moment is not None:
                number = delivered + self.drops.total()
                yield Frame(number, moment.t_s, make_picture(frame), moment.after_cut)
                delivered += 1

    def _decoded(self, times: PresentationTimes) -> Iterator[av.VideoFrame]:
        """Yield the decoder's frames; packets that cannot be decoded are counted."""
        codec = self._stream.codec_context
        for packet in self._packets():
            times.feed(packet)
            try:
                yield from codec.decode(packet)
            except av.FFmpegError:
                times.lose()
        for _ in range(MOST_HELD):
            try:
                yield from codec.decode(None)
                return
            except av.error.EOFError:
                return
            except av.FFmpegError:
                times.lose()  # and go on: frames behind the damaged one are held

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

    def _count_drop(self, cause: str) -> None:
        self.drops[cause] += 1

    def _is_cut(self) -> bool:
        """Return True if the file ends before the time that its header states.

        Only containers that write the length into a header are checked; others have it guessed.
        """
        stream, container = self._stream, self._container
        base_s = stream.time_base or 0
        if not {"mp4", "matroska", "avi"} & set(container.format.name.split(",")):
            return False
        if "avi" in container.format.name:  # its duration is adjusted to what is there
            stated_s = float(stream.frames * base_s)
        elif stream.duration is not None:
            stated_s = float(((stream.start_time or 0) + stream.duration) * base_s)
        elif container.duration is not None:
            stated_s = container.duration / av.time_base
        else:
            return False
        return stated_s - self._read_to_s > CUT_S

    def _nothing_readable(self) -> str:
        """Return the message for a file without a readable frame."""
        if self.drops["no time"] > self.drops["damaged"]:
            return (
                f"{self._path} does not say when its frames belong; "
                "put it into a container that does, such as MP4."
            )
        return (
            f"No frame of {self._path} can be decoded; check that it plays, and copy it again or "
            "convert it to H.264 in MP4."
        )
