"""Images of cameras in whatever form the driver gives them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from realtime.errors import SourceError
from realtime.sources.camera_images import CameraImageConverter

GRAY = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) // 12  # 0 to 255
COLOUR = np.stack([GRAY, GRAY[::-1], GRAY[:, ::-1]], axis=-1).astype(np.uint8)


def as_bgr(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    converted = CameraImageConverter()(image)
    assert converted.dtype == np.uint8
    assert converted.shape == (48, 64, 3)
    assert converted.flags.c_contiguous
    return converted


def test_bgr_is_handed_on() -> None:
    assert as_bgr(COLOUR) is COLOUR


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 1)])
def test_gray(shape: tuple[int, ...]) -> None:
    gray = GRAY.astype(np.uint8)
    assert np.array_equal(as_bgr(gray.reshape(shape)), cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR))


def test_an_alpha_channel_is_left_out() -> None:
    assert np.array_equal(as_bgr(cv2.cvtColor(COLOUR, cv2.COLOR_BGR2BGRA)), COLOUR)


def test_yuyv() -> None:
    yuyv = np.full((48, 64, 2), 128, np.uint8)
    yuyv[..., 0] = 100
    assert len(np.unique(as_bgr(yuyv))) == 1


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_more_bits_keep_their_light(bits: int) -> None:
    image = GRAY << (bits - 8)
    expected = cv2.cvtColor(GRAY.astype(np.uint8), cv2.COLOR_GRAY2BGR)
    assert np.array_equal(as_bgr(image), expected)


def test_a_dark_image_of_a_camera_with_many_bits_stays_dark() -> None:
    convert = CameraImageConverter()
    convert(GRAY << 4)
    assert convert(GRAY // 64 << 4).max() == 3


@pytest.mark.parametrize(
    "image", [np.zeros((48, 64, 3), np.float32), np.zeros((48, 64, 5), np.uint8), np.zeros(9)]
)
def test_other_images_are_refused_in_words(image: npt.NDArray[Any]) -> None:
    with pytest.raises(SourceError, match="of a kind that is not known"):
        CameraImageConverter()(image)
