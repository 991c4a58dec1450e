"""Decoded frames as a player shows them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from realtime.sources.decoding import oriented
from realtime.sources.video_file import VideoFile

Picture = npt.NDArray[np.uint8]


def corner_picture() -> Picture:
    """Black, but for its upper left quarter, so that each way to turn and mirror it differs."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:16, :48] = 255
    return picture


def write_picture(path: Path, picture: Picture, aspect: Fraction = Fraction(1)) -> Path:
    with av.open(str(path), "w") as container:
        stream = cast(av.VideoStream, container.add_stream("libx264", rate=30))
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        container.mux([*stream.encode(frame), *stream.encode()])
    return path


def state_matrix(path: Path, matrix: tuple[float, float, float, float]) -> Path:
    data = bytearray(path.read_bytes())
    a, b, c, d = (round(value * 2**16) for value in matrix)
    at = data.index(b"tkhd") + 44  # ISO 14496-12, 8.3.2: the matrix, in 16.16 fixed point
    data[at : at + 20] = struct.pack(">5i", a, b, 0, c, d)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda picture: picture),
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),  # a telephone held upright
        ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
        ((0, -1, 1, 0), lambda picture: np.rot90(picture, 1)),
        ((-1, 0, 0, 1), np.fliplr),  # the camera at the front of a telephone
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda picture: picture.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda picture: np.rot90(picture.transpose(1, 0, 2), 2)),
    ],
)
def test_every_display_matrix_is_honoured(
    matrix: tuple[int, int, int, int], shown: Callable[[Picture], Picture], tmp_path: Path
) -> None:
    path = state_matrix(write_picture(tmp_path / "clip.mp4", corner_picture()), matrix)
    with VideoFile(path) as source:
        (frame,) = source
    expected = shown(corner_picture())
    assert source.info.size_wh == expected.shape[1::-1]
    assert frame.image_bgr.shape == expected.shape
    assert frame.image_bgr.flags.c_contiguous
    assert np.abs(frame.image_bgr.astype(int) - expected).mean() < 10


@pytest.mark.parametrize("turn_deg", [30.0, -130.0, 89.5, 2.0])
@pytest.mark.parametrize("is_mirrored", [True, False])
def test_any_angle_of_a_display_matrix_is_honoured(
    is_mirrored: bool, turn_deg: float, tmp_path: Path
) -> None:
    cosine, sine = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    sign = -1 if is_mirrored else 1
    # On the screen, y goes down.
    matrix = sign * cosine, sign * -sine, sine, cosine
    path = state_matrix(write_picture(tmp_path / "clip.mp4", corner_picture()), matrix)
    with VideoFile(path) as source:
        (frame,) = source
    expected = oriented(corner_picture(), is_mirrored, turn_deg)
    assert frame.image_bgr.shape == expected.shape
    assert np.abs(frame.image_bgr.astype(int) - expected).mean() < 12


def test_a_turn_is_counter_clockwise() -> None:
    dot = np.zeros((101, 101, 3), np.uint8)
    cv2.circle(dot, (90, 50), 5, (255, 255, 255), cv2.FILLED)  # to the right of the middle
    turned = oriented(dot, False, 45.0)
    assert turned[22, 78].mean() > 250  # above it and to the right
    mirrored = oriented(dot, True, 45.0)
    assert mirrored[78, 22].mean() > 250


@pytest.mark.parametrize(
    ("aspect", "width"), [("4/3", 128), ("2", 192), ("1/2", 48), ("8/9", 85), ("16/15", 102)]
)
def test_pixels_become_square(aspect: str, width: int, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "clip.mp4", corner_picture(), Fraction(aspect))
    with VideoFile(path) as source:
        (frame,) = source
    assert source.info.size_wh == (width, 64)
    assert frame.image_bgr.shape == (64, width, 3)
    expected = cv2.resize(corner_picture(), (width, 64))
    assert np.abs(frame.image_bgr.astype(int) - expected).mean() < 10


def test_pixels_are_made_square_before_the_picture_is_turned(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "clip.mp4", corner_picture(), Fraction(2))
    with VideoFile(state_matrix(path, (0, 1, -1, 0))) as source:
        (frame,) = source
    assert frame.image_bgr.shape == (192, 64, 3)


def test_an_absurd_shape_of_pixels_is_not_believed(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "clip.mp4", corner_picture(), Fraction(60, 1))
    with VideoFile(path) as source:
        (frame,) = source
    assert frame.image_bgr.shape == (64, 96, 3)
