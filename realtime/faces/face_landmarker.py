"""MediaPipe's face landmarker with the model file that ships, read without an object a point."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from realtime.errors import ModelError
from realtime.native_log import without_native_log
from realtime.types import Float32Array, UInt8Array

MODEL_PATH = Path(__file__).parents[2] / "weights" / "faces" / "face_landmarker.task"

MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"

POINTS = 478
"""Number of points of a face: 468 of the mesh, then five of each iris."""


_LEAST_DETECTION, _LEAST_PRESENCE = 0.4, 0.65
"""Confidence from which a face is taken for one, first by the detector, then by its points.

Of 360 frames of six clips of people who sign, far from the camera, faces are found in 331 with
MediaPipe's own 0.5 and 0.5, and in all with these.
"""

_HASTE = 10.0
"""Factor by which MediaPipe's clock runs faster than the video's.

MediaPipe smooths the points of a single face over time, and they lag behind a head that nods: by
0.8 px of the aligned face in the mean at its own pace, by 0.3 px at this one, where the points of
a still face are as calm. `alignment` averages what scatter is left.
"""


class FoundFace(NamedTuple):
    """One face as MediaPipe found it.

    `points`: float32 [478, 3], x and y as shares of the image's width and height, z as a share of
    the width, smaller is nearer. `head`: float32 [4, 4], from the mean face in cm (x to the
    right of the image, y up, z towards the camera) to the camera's place. `blendshapes`: float32
    [52], 0 to 1, in the order of `types.BLENDSHAPES`; None where they were not asked for.
    """

    points: Float32Array
    head: Float32Array
    blendshapes: Float32Array | None


class _Absent(MetaPathFinder):
    """Import finder that reports some packages as not installed, to one thread."""

    def __init__(self, packages: frozenset[str]) -> None:
        self._packages = packages
        self._thread_id = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if (
            threading.get_ident() == self._thread_id
            and fullname.partition(".")[0] in self._packages
        ):
            raise ModuleNotFoundError(f"{fullname} is not needed here", name=fullname)
        return None


@contextlib.contextmanager
def _absent(*packages: str) -> Iterator[None]:
    """Make imports of these packages fail within the block and this thread, as if not installed.

    Packages that have been imported before stay usable.
    """
    finder = _Absent(frozenset(packages) - sys.modules.keys())
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _import_mediapipe() -> Any:
    """Import MediaPipe's face landmarker module.

    MediaPipe imports TensorFlow, where it is installed, for the sake of a decorator of its own
    documentation; that takes seconds and hundreds of megabytes, and MediaPipe goes on without it.
    It also imports Matplotlib, to draw, which warns of a home folder that it cannot write.
    """
    matplotlib_log = logging.getLogger("matplotlib")
    level = matplotlib_log.level
    matplotlib_log.setLevel(logging.ERROR)
    try:
        with _absent("tensorflow", "jax"):
            from mediapipe.tasks.python.vision import face_landmarker
    finally:
        matplotlib_log.setLevel(level)
    return face_landmarker


def _model_bytes() -> bytes:
    """Return the model file, if it is the one that ships; raise ModelError if not."""
    try:
        data = MODEL_PATH.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{MODEL_PATH} cannot be read ({error.strerror}); install Kilas anew."
        ) from error
    if hashlib.sha256(data).hexdigest() != MODEL_SHA256:
        raise ModelError(f"{MODEL_PATH} is not the face landmarker that ships; install Kilas anew.")
    return data


class FaceLandmarker:
    """Face landmarker without the lines that it logs. Belongs to one thread at a time.

    In a video a face that was found is followed, and is looked for again once it is lost; with
    `max_faces` of 1 its points are smoothed over time as well.
    """

    _has_seen_face = False  # of all objects: MediaPipe logs for the last time at the first face

    def __init__(self, max_faces: int, *, static: bool, blendshapes: bool = False) -> None:
        """Load MediaPipe, which takes about two seconds the first time in a process.

        `static`: images have nothing to do with each other, as in a folder of pictures.
        `blendshapes`: look for them too. Raises ModelError when the model file is not the one that
        ships.
        """
        self._module = _import_mediapipe()
        from mediapipe.tasks.python.core.base_options import BaseOptions
        from mediapipe.tasks.python.vision.core.image import Image, ImageFormat
        from mediapipe.tasks.python.vision.core.vision_task_running_mode import (
            VisionTaskRunningMode,
        )

        self._image, self._format = Image, ImageFormat.SRGB
        self._options = self._module.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=_model_bytes()),
            running_mode=VisionTaskRunningMode.IMAGE if static else VisionTaskRunningMode.VIDEO,
            num_faces=max_faces,
            min_face_detection_confidence=_LEAST_DETECTION,
            min_face_presence_confidence=_LEAST_PRESENCE,
            output_face_blendshapes=blendshapes,
            output_facial_transformation_matrixes=True,
        )
        self._static = static
        self._task: Any = None
        self._t_ms = 0
        self.reset()

    def find(self, image_rgb: UInt8Array, t_s: float = 0.0) -> list[FoundFace]:
        """Find the faces of an image, uint8 [height, width, 3].

        `t_s`: time of a frame in seconds, not before that of the frame before.
        """
        if FaceLandmarker._has_seen_face:
            return self._find(image_rgb, t_s)
        with without_native_log():
            found = self._find(image_rgb, t_s)
        FaceLandmarker._has_seen_face |= bool(found)
        return found

    def _find(self, image_rgb: UInt8Array, t_s: float) -> list[FoundFace]:
        # Not by `detect`, which makes 478 Python objects a face.
        library, image = self._task._lib, self._image(self._format, image_rgb)
        result = self._module.FaceLandmarkerResultC()
        asked: tuple[Any, ...] = (self._task._handle, image._image_ptr, None)
        if self._static:
            library.MpFaceLandmarkerDetectImage(*asked, ctypes.byref(result))
        else:
            self._t_ms = max(self._t_ms + 1, round(1e3 * _HASTE * t_s))  # it wants them to grow
            library.MpFaceLandmarkerDetectForVideo(*asked, self._t_ms, ctypes.byref(result))
        try:
            return [
                FoundFace(
                    _points(result.face_landmarks[number]),
                    result.facial_transformation_matrixes[number].to_numpy().astype(np.float32),
                    _blendshapes(result.face_blendshapes[number])
                    if number < result.face_blendshapes_count
                    else None,
                )
                for number in range(result.face_landmarks_count)
            ]
        finally:
            library.MpFaceLandmarkerCloseResult(ctypes.byref(result))

    def reset(self) -> None:
        """Forget the images so far; times may begin anew."""
        self.close()
        self._t_ms = -1
        with without_native_log():
            self._task = self._module.FaceLandmarker.create_from_options(self._options)

    def close(self) -> None:
        """Free MediaPipe's graph; may be called twice."""
        if self._task is not None:
            self._task.close()
            self._task = None


def _points(landmarks: Any) -> Float32Array:
    """Copy the points of one face out of MediaPipe's memory, float32 [478, 3]."""
    size = ctypes.sizeof(landmarks.landmarks._type_) // ctypes.sizeof(ctypes.c_float)
    numbers = ctypes.cast(landmarks.landmarks, ctypes.POINTER(ctypes.c_float))
    everything = np.ctypeslib.as_array(numbers, (landmarks.landmarks_count, size))
    return everything[:, :3].copy()


def _blendshapes(categories: Any) -> Float32Array:
    scores = (categories.categories[n].score for n in range(categories.categories_count))
    return np.fromiter(scores, np.float32, categories.categories_count)
