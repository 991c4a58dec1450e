"""Pictures in files: what their names end in, and how they are read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from realtime.types import UInt8Array

PICTURE_SUFFIXES = (
    *(".bmp", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)
"""Endings of the pictures that OpenCV reads in all its builds."""


def read_picture(path: Path, mode: int = cv2.IMREAD_COLOR) -> UInt8Array | None:
    """uint8 BGR [h, w, 3], or [h, w] where `mode` is IMREAD_GRAYSCALE, turned as its EXIF says
    and without its alpha; None where the file is damaged or cannot be read."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        # `cv2.imread` would paint gray what a JPEG lacks that was cut off, and say nothing.
        image = cv2.imdecode(data, mode)
    except (OSError, cv2.error):  # of OpenCV: the file is empty, or states an absurd size
        return None
    return None if image is None else np.asarray(image, np.uint8)
