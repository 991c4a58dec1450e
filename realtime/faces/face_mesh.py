"""MediaPipe's face mesh, without its heavy parts and without the lines that it logs."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime.native_log import without_native_log


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


def _import_face_mesh() -> Any:
    """Import MediaPipe's face mesh module.

    MediaPipe imports TensorFlow, where it is installed, for the sake of a decorator of its own
    documentation; that takes seven seconds and hundreds of megabytes, and MediaPipe goes on without
    it.
    """
    with _absent("tensorflow", "jax"):
        from mediapipe.python.solutions import face_mesh
    return face_mesh


class FaceMesh:
    """MediaPipe's face mesh, without the lines that it logs. Belongs to one thread at a time."""

    _has_seen_face = False  # of all objects: MediaPipe logs for the last time at the first face

    def __init__(self, max_faces: int, *, static: bool) -> None:
        """Load MediaPipe, which takes about two seconds the first time in a process.

        `static`: images have nothing to do with each other, as in a folder of pictures.
        """
        face_mesh = _import_face_mesh()
        with without_native_log():
            self._mesh: Any = face_mesh.FaceMesh(
                static_image_mode=static, max_num_faces=max_faces, refine_landmarks=False
            )
            self._mesh._graph.wait_until_idle()  # its threads log while they begin

    def landmarks(self, image_rgb: npt.NDArray[np.generic]) -> Sequence[Any]:
        """Return the landmarks of each face of an image, uint8 [height, width, 3]."""
        if FaceMesh._has_seen_face:
            return self._mesh.process(image_rgb).multi_face_landmarks or ()
        with without_native_log():
            found = self._mesh.process(image_rgb).multi_face_landmarks or ()
        FaceMesh._has_seen_face |= bool(found)
        return found

    def reset(self) -> None:
        """Forget the last image."""
        self._mesh.reset()

    def close(self) -> None:
        """Free MediaPipe's graph; may be called twice."""
        if self._mesh is not None:
            self._mesh.close()
            self._mesh = None
