"""Source of frames from a webcam, and the list of this machine's cameras."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2

from realtime.errors import SourceError
from realtime.sources.camera_images import CameraImageConverter
from realtime.sources.live_source import LiveSource, Picture

RECONNECT_S = 10.0
"""Time to wait for a lost camera or stream: long enough to plug a cable in again."""

SILENCE_S = 10.0
"""Time without a frame after which a camera or stream that is there has failed.

OpenCV's V4L2 driver waits as long for one frame.
"""

CAMERA_RATES_HZ = (60.0, 30.0)
"""Frame rates that are requested from a camera, best first.

60 Hz puts three frames into the shortest micro-expression (1/25 s), and more only costs light.
"""

CAMERA_BUFFERS = 2
"""Number of frames that the driver may hold: while it fills one, another is decoded."""

CAMERAS_TRIED = 3
"""Number of indices that are tried on systems that do not list their cameras."""


class VideoCapture(Protocol):
    """Interface of a camera: the part of cv2.VideoCapture that is used."""

    def isOpened(self) -> bool: ...
    def set(self, property_id: int, value: float, /) -> bool: ...
    def get(self, property_id: int, /) -> float: ...
    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, Any]: ...
    def release(self) -> None: ...


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Silence OpenCV's own warnings while it tries cameras; failures that matter are raised."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def open_camera(index: int) -> VideoCapture:
    """Open camera `index` of this machine; `isOpened()` is False if it is not there."""
    backend = cv2.CAP_V4L2 if _is_linux() else cv2.CAP_ANY
    with _quiet_opencv():
        return cv2.VideoCapture(index, backend)


class Webcam(LiveSource):
    """Camera of this machine, at the best frame rate that it offers.

    `t_s` is the monotonic time at which the camera handed the frame over, before it was decoded.
    `info` states the size and rate that were obtained. A camera that is unplugged is waited for;
    each outage counts once in `drops["camera lost"]`.
    """

    def __init__(
        self,
        index: int,
        *,
        reconnect_s: float = RECONNECT_S,
        silence_s: float = SILENCE_S,
        open_capture: Callable[[int], VideoCapture] = open_camera,
    ) -> None:
        """Prepare the camera.

        `open_capture`: called in
        the capture thread with `index`, also to reconnect.
        """
        super().__init__(f"camera {index}", reconnect_s=reconnect_s, silence_s=silence_s)
        self._index = index
        self._open_capture = open_capture

    def _pictures(self) -> Generator[Picture, None, None]:
        try:
            yield from self._grabbed()
        except cv2.error as error:
            raise SourceError(f"Camera {self._index} broke; plug it in again.") from error
        raise SourceError(f"Camera {self._index} stopped; plug it in again.")

    def _grabbed(self) -> Iterator[Picture]:
        capture = self._opened()
        try:
            rate_hz = capture.get(cv2.CAP_PROP_FPS)
            self._rate_hz = rate_hz if math.isfinite(rate_hz) and rate_hz > 0 else None
            to_bgr = CameraImageConverter()
            while capture.grab():
                t_s = time.monotonic()
                is_whole, image = capture.retrieve()
                if is_whole:
                    yield Picture(t_s, to_bgr(image))
                else:
                    self._count_drop("damaged")
        finally:
            capture.release()

    def _opened(self) -> VideoCapture:
        """Return a camera that has delivered a frame, with the wished settings or else its own."""
        for with_settings in (True, False):
            capture = self._open_capture(self._index)
            if capture.isOpened():
                if with_settings:
                    self._ask(capture)
                if capture.grab():
                    return capture
            capture.release()
        raise SourceError(
            f"Camera {self._index} cannot be used; check that it is plugged in and that no other "
            "program is using it (stream.py info lists the cameras)."
        )

    def _ask(self, capture: VideoCapture) -> None:
        # Uncompressed pictures do not fit through USB 2 at more than a few frames a second.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        for rate_hz in CAMERA_RATES_HZ:
            # Some cameras call 60 frames a second 59.94.
            capture.set(cv2.CAP_PROP_FPS, rate_hz)
            if capture.get(cv2.CAP_PROP_FPS) >= 0.95 * rate_hz:
                break
        capture.set(cv2.CAP_PROP_BUFFERSIZE, CAMERA_BUFFERS)


@dataclass(frozen=True, slots=True)
class Camera:
    """Camera that the system lists. `problem`: why it cannot be used, where that is known."""

    index: int
    name: str
    problem: str | None = None


def list_cameras() -> list[Camera]:
    """Return the cameras of this machine, by index.

    On Linux the system's list is read, and no camera is touched; elsewhere the first few are opened
    for a moment.
    """
    if _is_linux():
        return camera_candidates()
    found = []
    for camera in camera_candidates():
        capture = open_camera(camera.index)
        if capture.isOpened():
            found.append(camera)
        capture.release()
    return found


def _is_linux() -> bool:
    return sys.platform.startswith("linux")


def camera_candidates() -> list[Camera]:
    """Return the cameras that Linux lists; elsewhere the first indices, cameras or not.

    Only opening shows which of these are cameras.
    """
    if _is_linux():
        return _linux_cameras(Path("/dev"), Path("/sys/class/video4linux"))
    return [Camera(index, f"camera {index}") for index in range(CAMERAS_TRIED)]


def _linux_cameras(devices: Path, classes: Path) -> list[Camera]:
    cameras = []
    for device in devices.glob("video*"):
        number = device.name.removeprefix("video")
        attributes = classes / device.name
        # A camera has a second device, for metadata, that delivers no pictures.
        if not number.isdigit() or _text_of(attributes / "index") not in ("", "0"):
            continue
        name = _text_of(attributes / "name") or f"camera {number}"
        problem = None
        if not os.access(device, os.R_OK | os.W_OK):
            problem = f"no permission for {device}; add yourself to the group video"
        cameras.append(Camera(int(number), name, problem))
    return sorted(cameras, key=lambda camera: camera.index)


def _text_of(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""
