"""Write H.264 video with the frames' own times, playable while and however it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace

from realtime.disk_file import DiskFile
from realtime.types import UInt8Array

TICKS_HZ = 90_000
"""Clock of the video; every common frame rate is a whole number of its ticks."""

KEYFRAME_S = 1.0
"""Time between pictures that a player can jump to."""

FRAGMENT_S = 0.25
"""Video that reaches the disk at once, so the most that a kill takes away besides the queue."""

MUXER_BUFFER_BYTES = 2**20
"""Larger than a common fragment, so that a fragment reaches the disk in one piece."""

LONE_FRAME_S = 1 / 30
"""Duration of a video of one frame, whose duration nothing states."""

# Measured on 640 x 480 with camera noise, one core: `ultrafast` takes 1.7 ms a frame at 38.2 dB
# (crf 20: 2.0 ms, 38.6 dB), `veryfast` with crf 20 3.5 ms. `zerolatency` holds no frame back.
ENCODER_OPTIONS = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "crf": "23",
    "forced-idr": "1",
    "g": "100000",
}
MAX_ENCODER_THREADS = 4


class VideoWriter:
    """One H.264 file with the frames' own times; the file is created with the first frame.

    Raises OSError and av.FFmpegError.
    """

    def __init__(self, path: Path) -> None:
        self.frame_count = 0
        self._path = path
        self._file: DiskFile | None = None
        self._size_wh = (0, 0)
        self._start_s = 0.0
        self._pts = -1
        self._next_key_pts = 0
        self._held: av.Packet | None = None
        self._held_pts = 0
        self._durations: Counter[int] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, t_s: float, image_bgr: UInt8Array) -> None:
        """Add a picture, uint8 [height, width, 3], to be shown from `t_s` seconds on."""
        if self._file is None:
            self._open(image_bgr.shape[1], image_bgr.shape[0])
        if not self.frame_count:
            self._start_s = t_s  # a player starts with the first frame, whenever that was
        # No two frames may have one moment.
        self._pts = max(self._pts + 1, round((t_s - self._start_s) * TICKS_HZ))
        image_yuv = cv2.cvtColor(_fit(image_bgr, self._size_wh), cv2.COLOR_BGR2YUV_I420)
        frame = av.VideoFrame.from_ndarray(np.asarray(image_yuv, np.uint8), format="yuv420p")
        frame.pts = self._pts
        frame.time_base = Fraction(1, TICKS_HZ)
        if self._pts >= self._next_key_pts:
            frame.pict_type = PictureType.I
            self._next_key_pts = self._pts + round(KEYFRAME_S * TICKS_HZ)
        self.frame_count += 1
        self._mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file, or leave it as it is if it could not be written further."""
        if self._file is None:
            return
        with self._file, self._output:
            if self._held is not None:
                self._mux(self._stream.encode(None))
                self._held.duration = self._typical_duration()
                self._output.mux(self._held)

    def _open(self, width: int, height: int) -> None:
        # 4:2:0 colour needs even sides; `_fit` repeats the last line where one is missing.
        self._size_wh = (width + width % 2, height + height % 2)
        self._file = DiskFile(self._path)
        self._output = av.open(
            self._file,
            "w",
            format="mp4",
            buffer_size=MUXER_BUFFER_BYTES,
            options={
                "movflags": "hybrid_fragmented+default_base_moof",
                "frag_duration": str(round(FRAGMENT_S * 1e6)),
                "flush_packets": "1",
            },
        )
        threads = min(MAX_ENCODER_THREADS, 1 + width * height // 1_000_000)
        self._stream = self._output.add_stream(
            "libx264", rate=60, options={**ENCODER_OPTIONS, "threads": str(threads)}
        )
        self._stream.width, self._stream.height = self._size_wh
        self._stream.pix_fmt = "yuv420p"
        codec = self._stream.codec_context
        codec.time_base = Fraction(1, TICKS_HZ)
        # What OpenCV's conversion makes; untagged large pictures would be shown as BT.709.
        codec.colorspace = Colorspace.SMPTE170M
        codec.color_range = ColorRange.MPEG

    def _mux(self, packets: Iterable[av.Packet]) -> None:
        """Write packets, each once the next one tells how long its picture is shown."""
        assert self._file is not None
        for packet in packets:
            assert packet.pts is not None
            if self._held is not None:
                duration = packet.pts - self._held_pts
                self._held.duration = duration
                self._durations[duration] += 1
                self._output.mux(self._held)
                self._file.mark()
            self._held, self._held_pts = packet, packet.pts

    def _typical_duration(self) -> int:
        """Median duration of the frames so far, in ticks, for the last one."""
        if not self._durations:
            return round(LONE_FRAME_S * TICKS_HZ)
        return sorted(self._durations.elements())[self._durations.total() // 2]


def _fit(image_bgr: UInt8Array, size_wh: tuple[int, int]) -> UInt8Array:
    """Bring a picture to the size of the video, keeping its proportions."""
    height, width = image_bgr.shape[:2]
    if (width, height) == size_wh:
        return image_bgr
    missing_w, missing_h = size_wh[0] - width, size_wh[1] - height
    if 0 <= missing_w <= 1 and 0 <= missing_h <= 1:
        edges = ((0, missing_h), (0, missing_w), (0, 0))
        return np.pad(image_bgr, edges, mode="edge")
    scale = min(size_wh[0] / width, size_wh[1] / height)
    inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    left, top = (size_wh[0] - inner_w) // 2, (size_wh[1] - inner_h) // 2
    canvas[top : top + inner_h, left : left + inner_w] = cv2.resize(
        image_bgr, (inner_w, inner_h), interpolation=cv2.INTER_AREA
    )
    return canvas
