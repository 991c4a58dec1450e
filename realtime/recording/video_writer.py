"""Writer of H.264 video with the frames' own times, playable while it is written and however it
ends."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import av
import cv2
import numpy as np

from realtime.recording.encoders import (
    SOFTWARE_ENCODER,
    TICKS_HZ,
    Encoder,
    encoder_frame,
    open_stream,
    working_encoder,
)
from realtime.storage.durable_file import DiskFile
from realtime.types import UInt8Array

KEYFRAME_S = 1.0
"""Seconds between pictures that a player can jump to."""

FRAGMENT_S = 0.25
"""Seconds of video that reach the disk at once: the most that a kill costs besides the queue."""

MUXER_BUFFER_BYTES = 2**20
"""Size of the muxer's buffer, larger than a common fragment, so that a fragment reaches the disk in
one piece."""

LONE_FRAME_S = 1 / 30
"""Seconds for which the frame is shown in a video of one frame, whose duration is unknown."""


class VideoWriter:
    """Writer of one H.264 file with the frames' own times; the first frame creates the file.

    `encoder`: the encoder in use, a hardware encoder where one works; None before the first frame.
    All methods belong to one thread, except for `sync`, which any other may call
    until `close`. Raises OSError and av.FFmpegError.
    """

    def __init__(self, path: Path) -> None:
        self.frame_count = 0
        self.encoder: Encoder | None = None
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

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, t_s: float, image_bgr: UInt8Array) -> None:
        """Add a picture, uint8 [height, width, 3], to be shown from `t_s` seconds on."""
        if self._file is None:
            # 4:2:0 colour needs even sides; `_fit` repeats the last line where one is missing.
            height, width = image_bgr.shape[:2]
            self._size_wh = (width + width % 2, height + height % 2)
        if not self.frame_count:
            self._start_s = t_s  # a player starts with the first frame, whenever that was
        # No two frames may have one moment.
        self._pts = max(self._pts + 1, round((t_s - self._start_s) * TICKS_HZ))
        is_key = self._pts >= self._next_key_pts
        if is_key:
            self._next_key_pts = self._pts + round(KEYFRAME_S * TICKS_HZ)
        frame = encoder_frame(_fit(image_bgr, self._size_wh), self._pts, is_key)
        if self._file is None:
            self._file = self._open()
        self.frame_count += 1
        self._mux(self._stream.encode(frame))

    def sync(self) -> None:
        """Wait until everything written so far is on the disk itself."""
        if self._file is not None:
            self._file.sync()

    def close(self) -> None:
        """Finish the file, or leave it as it is if it could not be written further."""
        if self._file is None:
            return
        with self._file, self._output:
            if self._held is not None:
                self._mux(self._stream.encode(None))
                self._held.duration = self._typical_duration()
                self._output.mux(self._held)

    def _open(self) -> DiskFile:
        encoder = working_encoder()
        with contextlib.ExitStack() as undo:
            file = undo.enter_context(DiskFile(self._path))
            try:
                self._start(file, encoder)
            except av.FFmpegError:
                if not encoder.is_hardware:
                    raise
                # Many graphics cards encode no more than a few videos at a time.
                self._start(file, SOFTWARE_ENCODER)
            undo.pop_all()
        return file

    def _start(self, file: DiskFile, encoder: Encoder) -> None:
        self._output = av.open(
            file,
            "w",
            format="mp4",
            buffer_size=MUXER_BUFFER_BYTES,
            options={
                "movflags": "hybrid_fragmented+default_base_moof",
                "frag_duration": str(round(FRAGMENT_S * 1e6)),
                "flush_packets": "1",
            },
        )
        self._stream = open_stream(self._output, encoder, self._size_wh)
        self.encoder = encoder

    def _mux(self, packets: Iterable[av.Packet]) -> None:
        """Write packets, each once the time of the next gives its duration."""
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
        """Return the median duration of the frames so far, in ticks, for the last frame."""
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
