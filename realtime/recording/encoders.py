"""Video encoders, and the choice of an encoder that works on this machine."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import cv2
import numpy as np
from av.codec.codec import UnknownCodecError
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace

from realtime.types import UInt8Array

TICKS_HZ = 24_000
"""Ticks of a video's clock in a second.

Common rates are whole numbers of them, others miss by at most 21 microseconds; and a frame may last
a day, of which MP4 counts the ticks in 31 bits.
"""


@dataclass(frozen=True)
class Encoder:
    """An H.264 encoder of FFmpeg and the options that it is used with."""

    name: str
    options: Mapping[str, str]
    is_hardware: bool = True


# Measured on 640 x 480 with camera noise, one core: `ultrafast` takes 1.7 ms a frame at 38.2 dB
# (crf 20: 2.0 ms, 38.6 dB), `veryfast` with crf 20 3.5 ms. `zerolatency` holds no frame back.
# Key frames come when they are asked for, so a group of pictures may have any length.
SOFTWARE_ENCODER = Encoder(
    "libx264",
    {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "crf": "23",
        "forced-idr": "1",
        "g": "100000",
    },
    is_hardware=False,
)
MAX_ENCODER_THREADS = 4

_COMMON = {"g": "100000", "bf": "0"}
"""Options of all hardware encoders: key frames only where they are asked for, and no picture that
depends on a later picture."""

# Constant quality meant to be near libx264's crf 23, no frame held back. Each maker has a quality
# scale of its own, and these values follow FFmpeg's documentation, not a measurement. VA-API is not
# among the encoders: it needs its pictures in the memory of the graphics card, and PyAV cannot put
# them there.
HARDWARE_ENCODERS = (
    Encoder(
        "h264_nvenc",
        _COMMON
        | {
            "preset": "p4",
            "tune": "ll",
            "rc": "vbr",
            "cq": "23",
            "delay": "0",
            "zerolatency": "1",
            "forced-idr": "1",
        },
    ),
    Encoder(
        "h264_qsv",
        _COMMON
        | {
            "preset": "veryfast",
            "global_quality": "23",
            "async_depth": "1",
            "look_ahead": "0",
            "forced_idr": "1",
        },
    ),
    Encoder(
        "h264_amf",
        _COMMON
        | {
            "usage": "lowlatency",
            "quality": "speed",
            "rc": "cqp",
            "qp_i": "23",
            "qp_p": "23",
            "forced_idr": "1",
        },
    ),
    # FFmpeg counts 118 units to one step of this encoder's quality of 1 to 100.
    Encoder(
        "h264_videotoolbox",
        _COMMON | {"realtime": "1", "flags": "+qscale", "global_quality": str(65 * 118)},
    ),
    Encoder(
        "h264_mf",
        _COMMON
        | {
            "hw_encoding": "1",
            "rate_control": "quality",
            "quality": "70",
            "scenario": "live_streaming",
        },
    ),
)
"""Hardware encoders that are tried, in this order; the platform decides which of them exist."""

PROBE_SIZE_WH = (320, 240)
"""Size of the test pictures, above the smallest that any of the encoders takes (145 x 49 for NVENC,
128 x 128 for AMF)."""

PROBE_FRAMES = 20
"""Number of test pictures."""

PROBE_KEY_FRAME = 10
"""Index of the test picture that is asked to be a key frame."""

PROBE_HELD_FRAMES = 8
"""Most frames that an encoder may hold back: a quarter of a second at 30 frames a second."""

PROBE_GRAY_TOLERANCE = 16
"""Largest error of the mean of a decoded gray picture, of 255."""


@cache
def working_encoder() -> Encoder:
    """Return the first hardware encoder that really works here, else the software encoder.

    The encoders are tried once in a process, which takes a moment.
    """
    return next(filter(encoder_works, HARDWARE_ENCODERS), SOFTWARE_ENCODER)


def encoder_works(encoder: Encoder) -> bool:
    """Return True if a few test pictures come out of an encoder as they went in.

    Each must keep its time and gray level, in order and not held back for long, and a key frame
    must come where it is asked for.
    """
    grays = np.linspace(32, 224, PROBE_FRAMES).astype(np.uint8)
    # Uneven, as the times of a camera.
    times = [round(i * TICKS_HZ / 30) + 7 * (i % 3) for i in range(PROBE_FRAMES)]
    keys = [i in (0, PROBE_KEY_FRAME) for i in range(PROBE_FRAMES)]
    file = io.BytesIO()
    # As in a recording, the header that a player needs is written with the first frames.
    fragments = {"movflags": "frag_every_frame+default_base_moof"}
    try:
        with av.open(file, "w", format="mp4", options=fragments) as output:
            stream = open_stream(output, encoder, PROBE_SIZE_WH)
            packets = []
            for gray, pts, is_key in zip(grays, times, keys, strict=True):
                image_bgr = np.full((PROBE_SIZE_WH[1], PROBE_SIZE_WH[0], 3), gray, np.uint8)
                packets += stream.encode(encoder_frame(image_bgr, pts, is_key))
            held_frames = PROBE_FRAMES - len(packets)
            packets += stream.encode(None)
            came = [(packet.pts, packet.dts) for packet in packets]
            are_keys = [packet.is_keyframe for packet in packets]
            output.mux(packets)
        file.seek(0)
        with av.open(file, "r") as written:
            frames = list(written.decode(video=0))
    except (av.FFmpegError, UnknownCodecError):
        return False
    means = [float(frame.to_ndarray(format="gray").mean()) for frame in frames]
    return (
        held_frames <= PROBE_HELD_FRAMES
        and came == [(pts, pts) for pts in times]
        and all(is_key for is_key, asked in zip(are_keys, keys, strict=True) if asked)
        and [frame.pts for frame in frames] == times
        and bool(np.allclose(means, grays, rtol=0, atol=PROBE_GRAY_TOLERANCE))
    )


def open_stream(
    output: av.container.OutputContainer, encoder: Encoder, size_wh: tuple[int, int]
) -> av.VideoStream:
    """Add a stream for pictures of `size_wh` whose encoder is ready.

    Raises av.FFmpegError, and UnknownCodecError if FFmpeg was built without the encoder.
    """
    options = dict(encoder.options)
    width, height = size_wh
    if not encoder.is_hardware:
        options["threads"] = str(min(MAX_ENCODER_THREADS, 1 + width * height // 1_000_000))
    stream = output.add_stream(encoder.name, rate=60, options=options)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height = size_wh
    codec = stream.codec_context
    formats = {known.name for known in codec.codec.video_formats or ()}
    # Encoders that do not take the pictures' own planes get them converted.
    stream.pix_fmt = "yuv420p" if "yuv420p" in formats else "nv12"
    codec.time_base = Fraction(1, TICKS_HZ)
    # The colours that OpenCV's conversion makes; untagged large pictures would be shown as BT.709.
    codec.colorspace = Colorspace.SMPTE170M
    codec.color_range = ColorRange.MPEG
    codec.open()
    return stream


def encoder_frame(image_bgr: UInt8Array, pts: int, is_key: bool = False) -> av.VideoFrame:
    """Convert a picture, uint8 [height, width, 3] with even sides, to the planar 4:2:0 frame that
    encoders take.

    `pts`: time from which it is shown, in ticks of TICKS_HZ. `is_key`: ask for a key frame.
    """
    image_yuv = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2YUV_I420)
    frame = av.VideoFrame.from_ndarray(np.asarray(image_yuv, np.uint8), format="yuv420p")
    frame.pts = pts
    frame.time_base = Fraction(1, TICKS_HZ)
    if is_key:
        frame.pict_type = PictureType.I
    return frame
