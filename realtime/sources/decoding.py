"""Conversion of PyAV's decoded frames to upright BGR images."""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from realtime.types import UInt8Array

_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class PictureMaker:
    """Converter of decoded frames to upright BGR images.

    One conversion context is kept for all frames: a new context for each costs time.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame, rotation: int) -> UInt8Array:
        """Return the image, uint8 [height, width, 3].

        It is turned by `rotation` degrees, counter-clockwise.
        """
        picture = np.ascontiguousarray(
            self._reformatter.reformat(frame, format="bgr24").to_ndarray(), dtype=np.uint8
        )
        turn = _TURNS.get(rotation % 360)
        return picture if turn is None else cv2.rotate(picture, turn).astype(np.uint8, copy=False)


def open_video_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """Return the best stream of moving images, or None.

    The cover of a song is not a video stream, and neither is a text file, which FFmpeg would draw
    as a terminal.
    """
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


def failure_reason(error: av.FFmpegError) -> str:
    """Return FFmpeg's reason for a failure, without a full stop."""
    return (error.strerror or str(error)).rstrip(".")
