"""Import of MediaPipe's face mesh without its heavy parts."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


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


def import_face_mesh() -> Any:
    """Import MediaPipe's face mesh module.

    MediaPipe imports TensorFlow, where it is installed, for the sake of a decorator of its own
    documentation; that takes seven seconds and hundreds of megabytes, and MediaPipe goes on without
    it.
    """
    with _absent("tensorflow", "jax"):
        from mediapipe.python.solutions import face_mesh
    return face_mesh
