"""Stand-ins for the tracker of faces, which find each face once for many tests."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Self

from realtime.faces.tracker import FaceTracker
from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile
from realtime.types import Face, Frame

_found: dict[bytes, tuple[Face, ...]] = {}


@cache
def demo_faces() -> tuple[tuple[Face, ...], ...]:
    """Return the faces of each frame of the demo clip."""
    with VideoFile(DEMO_PATH) as video, FaceTracker(1) as track_faces:
        return tuple(track_faces(frame) for frame in video)


class KnownFaces:
    """Stands for a tracker where the frames are those of the demo clip, whole or its beginning."""

    def __init__(self, max_faces: int = 1, *, blendshapes: bool = False) -> None:
        self.max_faces = max_faces

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        return demo_faces()[frame.id]

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RememberedFaces(KnownFaces):
    """Stands for a tracker where a data set is made of few different pictures.

    Each is looked at by itself, so that nothing is steadied over time.
    """

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        picture = frame.image_bgr.tobytes()
        if picture not in _found:
            with FaceTracker(self.max_faces) as track_faces:
                _found[picture] = track_faces(frame)
        return tuple(dataclasses.replace(face, frame_id=frame.id) for face in _found[picture])
