"""The faces of the demo clip, found once for all tests of what comes after the tracker."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Self

import av

from realtime.faces.tracker import FaceTracker
from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile
from realtime.types import Face, Frame


@cache
def demo_faces() -> tuple[tuple[Face, ...], ...]:
    """Return the faces of each frame."""
    with VideoFile(DEMO_PATH) as video, FaceTracker(1) as track_faces:
        return tuple(track_faces(frame) for frame in video)


def copy_beginning(path: Path, seconds: float) -> Path:
    """Copy the beginning of the demo clip to a file, frame by frame the same."""
    with av.open(str(DEMO_PATH)) as demo, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(demo.streams.video[0])
        for packet in demo.demux(video=0):
            if packet.size and float(packet.pts * packet.time_base) < seconds:
                packet.stream = stream
                copy.mux(packet)
    return path


class KnownFaces:
    """Stands for a tracker where the frames are those of the demo clip, whole or its beginning."""

    def __init__(self, max_faces: int = 1) -> None:
        self.max_faces = max_faces

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        return demo_faces()[frame.id]

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
