"""Versions of the packages that decide a result."""

from __future__ import annotations

import contextlib
import platform
from functools import cache
from importlib import metadata

PACKAGES = (
    "kilas",
    "mediapipe",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-python",
    "numpy",
    "numba",
    "av",
)
"""Packages whose versions a session states."""


@cache
def versions() -> dict[str, str]:
    """What a session states of the packages; takes a moment the first time."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
