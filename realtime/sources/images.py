"""Image files: the endings of their names, and how they are read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from realtime.types import UInt8Array

PICTURE_SUFFIXES = (
    *(".bmp", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)
"""Endings of the image files that OpenCV reads in all its builds."""

OTHER_PICTURE_SUFFIXES: frozenset[str] = frozenset(
    {
        *(".avif", ".gif", ".heic", ".heif", ".hif", ".jxl", ".psd", ".svg"),
        *(".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".nef", ".nrw", ".orf", ".pef"),
        *(".raf", ".rw2", ".srw", ".x3f"),
    }
)
"""Endings of well-known image files that are not read, lower case.

Some builds of OpenCV would read them: of a camera's raw file only the small preview, of a moving
image only the first picture.
"""

MAY_HOLD_SEVERAL = frozenset({".png", ".tif", ".tiff", ".webp"})
"""Endings of the image files that are read and may hold several pictures."""


def read_picture(path: Path, mode: int = cv2.IMREAD_COLOR) -> UInt8Array | None:
    """Read an image file as uint8 BGR [h, w, 3], or [h, w] where `mode` is IMREAD_GRAYSCALE.

    The image is turned as its EXIF data state and has no alpha channel. None where the file is
    damaged, cannot be read, holds several pictures, or is of another format
    (`OTHER_PICTURE_SUFFIXES`).
    """
    suffix = path.suffix.lower()
    if suffix in OTHER_PICTURE_SUFFIXES:
        return None
    try:
        content = path.read_bytes()
        if _are_several(content, suffix):
            return None
        # `cv2.imread` would fill the missing part of a cut-off JPEG with gray, without an error.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    except (OSError, cv2.error):  # cv2.error: the file is empty, or states an absurd size
        return None
    return None if image is None else np.asarray(image, np.uint8)


def holds_several(path: Path) -> bool:
    """Return True if a file holds several pictures, such as pages. Raises OSError."""
    try:
        return _are_several(path.read_bytes(), path.suffix.lower())
    except cv2.error:  # damaged
        return False


def _are_several(content: bytes, suffix: str) -> bool:
    """Return True for a file of several pictures. Raises cv2.error when it is damaged."""
    if suffix not in MAY_HOLD_SEVERAL:
        return False
    if suffix == ".png":
        return b"acTL" in content.partition(b"IDAT")[0]  # the chunk that makes it move
    data = np.frombuffer(content, np.uint8)
    return bool(cv2.imdecodemulti(data, cv2.IMREAD_COLOR, range=(1, 2))[0])
