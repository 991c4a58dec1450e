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
"""Packages whose versions are written to session.json."""


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of PACKAGES, by name; takes a moment the first time."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
