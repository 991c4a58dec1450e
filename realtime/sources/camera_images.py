"""Images as cameras give them, converted to 8-bit BGR."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from realtime.errors import SourceError
from realtime.types import UInt8Array

BIT_DEPTHS = (10, 12, 14, 16)
"""Bits of a camera's samples that come in 16."""

_CONVERSIONS = {1: cv2.COLOR_GRAY2BGR, 2: cv2.COLOR_YUV2BGR_YUY2, 4: cv2.COLOR_BGRA2BGR}
"""OpenCV's conversion to BGR by the number of channels."""


class CameraImageConverter:
    """Converter of one camera's images to BGR with 8 bits.

    Takes gray, BGR, BGRA and YUYV, with 8 or up to 16 bits. Cameras do not say how many of 16 bits
    they use; the fewest that hold all values so far are taken.
    """

    def __init__(self) -> None:
        self._bits = BIT_DEPTHS[0]

    def __call__(self, image: npt.NDArray[Any]) -> UInt8Array:
        """Return the image as uint8 [height, width, 3]; it may be `image` itself.

        `image`: uint8 or uint16, [height, width] or [height, width, 1 to 4]. Raises SourceError for
        any other.
        """
        channels = 1 if image.ndim == 2 else image.shape[-1]
        is_known = channels == 3 or channels in _CONVERSIONS
        if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or not is_known:
            raise SourceError(
                f"The camera gives pictures of a kind that is not known ({image.dtype}, "
                f"{' x '.join(map(str, image.shape))}); choose another format in its settings."
            )
        if image.dtype == np.uint16:
            used = int(image.max(initial=0)).bit_length()
            self._bits = max(self._bits, next(bits for bits in BIT_DEPTHS if bits >= used))
            image = image >> (self._bits - 8)
        image = np.ascontiguousarray(image, dtype=np.uint8)
        if channels != 3:
            image = cv2.cvtColor(image, _CONVERSIONS[channels])
        return np.asarray(image, np.uint8)
