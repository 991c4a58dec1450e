"""Conversion of PyAV's decoded frames to BGR images as a player shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from realtime.types import UInt8Array

ASPECTS = (1 / 8, 8.0)
"""Range of the widths of a pixel over its height that are believed.

Anamorphic films have up to 2.4, joined fields 2; what lies far beyond is a damaged header.
"""

STRAIGHT_DEG = 1.0
"""Angle by which a display matrix may miss a quarter turn and is taken for it, as ffplay does."""

_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class PictureMaker:
    """Converter of the decoded frames of one stream to BGR images as a player shows them.

    Pixels are made square by the sample aspect ratio that the stream states, which changes the
    width; then the image is turned and mirrored as the frame's display matrix states. One
    conversion context is kept for all frames: a new context for each costs time.
    """

    def __init__(self, stream: av.VideoStream) -> None:
        self._stream = stream
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> UInt8Array:
        """Return the image, uint8 [height, width, 3]."""
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        if not ASPECTS[0] <= aspect <= ASPECTS[1]:
            aspect = Fraction(1)
        picture = self._reformatter.reformat(
            frame, format="bgr24", width=max(1, round(frame.width * aspect))
        )
        image_bgr = np.ascontiguousarray(picture.to_ndarray(), dtype=np.uint8)
        is_mirrored, turn_deg = _orientation(frame)
        return oriented(image_bgr, is_mirrored, turn_deg)


def _orientation(frame: av.VideoFrame) -> tuple[bool, float]:
    """Return the orientation that a frame's display matrix states, see `oriented`."""
    try:
        stated = bytes(cast(Mapping[str, Any], frame.side_data)["DISPLAYMATRIX"])
    except ValueError:  # PyAV lacks a name for other data of the frame, as in spatial videos
        return False, frame.rotation
    except KeyError:
        return False, 0.0
    # Nine int32; the image's x points to (a, b) on the screen, its y, which goes down, to (c, d).
    a, b, _, c, d, *_ = np.frombuffer(stated, np.int32, 9).astype(float)
    is_mirrored = a * d - b * c < 0
    return is_mirrored, math.degrees(math.atan2(b, -a) if is_mirrored else math.atan2(-b, a))


def oriented(image_bgr: UInt8Array, is_mirrored: bool, turn_deg: float) -> UInt8Array:
    """Return an image, uint8 [height, width, 3], as it is to be seen.

    `is_mirrored`: left and right are swapped first. `turn_deg`: then it is turned by this angle,
    counter-clockwise. A turn that is no quarter keeps the size of the image, as in ffplay.
    """
    image: npt.NDArray[Any] = cv2.flip(image_bgr, 1) if is_mirrored else image_bgr
    quarter = 90 * round(turn_deg / 90)
    if abs(turn_deg - quarter) > STRAIGHT_DEG:
        height, width = image.shape[:2]
        about = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn_deg, 1.0)
        image = cv2.warpAffine(image, about, (width, height))
    elif quarter % 360 in _TURNS:
        image = cv2.rotate(image, _TURNS[quarter % 360])
    return image.astype(np.uint8, copy=False)


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
    return next((stream for stream in moving if stream is best), moving[0])


def failure_reason(error: av.FFmpegError) -> str:
    """Return FFmpeg's reason for a failure, without a full stop."""
    return (error.strerror or str(error)).rstrip(".")
