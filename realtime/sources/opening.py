"""`open_source`: make a source from its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from realtime.errors import SourceError
from realtime.sources.file_urls import is_file_url, local_path
from realtime.sources.network_stream import NetworkStream, without_password
from realtime.sources.paced_file import PacedFile
from realtime.sources.video_file import VideoFile
from realtime.sources.webcam import Camera, VideoCapture, Webcam, camera_candidates, open_camera
from realtime.types import Source

DEMO_PATH = Path(__file__).resolve().parents[1] / "demo" / "demo.mp4"
"""Path of the clip that is played where there is no camera."""


def open_source(
    name: int | str | os.PathLike[str],
    *,
    live: bool = True,
    loop_demo: bool = False,
    open_capture: Callable[[int], VideoCapture] = open_camera,
) -> tuple[Source, str]:
    """Return the source of this name, not yet entered, and a sentence about the choice.

    The sentence is for the user. `name`: `auto` (the first camera that delivers a frame, otherwise
    the demo clip), the index of a camera, a URL, `demo`, or the path or `file://` address of a
    video file. `live`: files are played at their own speed (`PacedFile`); otherwise every frame is
    delivered as fast as it is read (`VideoFile`). `loop_demo`: the demo clip starts over at its
    end, if it is played live.

    Raises SourceError for an empty name, and for a file's address on another machine.

    Example:

        source, sentence = open_source("demo", live=False)
        print(sentence)  # Using the built-in demo clip.
        with source:
            for frame in source:
                print(frame.id, frame.t_s, frame.image_bgr.shape)
    """
    if isinstance(name, os.PathLike):
        return _file(Path(name), live)
    text = str(name).strip()
    if not text:
        raise SourceError(
            "The name of the source is empty; name a camera's number, a file, a URL or demo."
        )
    if text == "auto":
        camera, why_not = _first_camera(open_capture)
        if camera is not None:
            return (
                Webcam(camera.index, open_capture=open_capture),
                f"Using camera {camera.index} ({camera.name}), the first that delivers a picture.",
            )
        return _demo(live, loop_demo), f"Using the built-in demo clip, because {why_not}."
    if text == "demo":
        return _demo(live, loop_demo), "Using the built-in demo clip."
    if isinstance(name, int) or text.isdecimal():
        return Webcam(int(text), open_capture=open_capture), f"Using camera {int(text)}."
    if "://" in text and not is_file_url(text):
        return NetworkStream(text), f"Using the stream {without_password(text)}."
    return _file(local_path(str(name)), live)


def _file(path: Path, live: bool) -> tuple[Source, str]:
    return (PacedFile(path) if live else VideoFile(path)), f"Using the file {path}."


def _demo(live: bool, loop: bool) -> Source:
    return PacedFile(DEMO_PATH, loop=loop) if live else VideoFile(DEMO_PATH)


def _first_camera(open_capture: Callable[[int], VideoCapture]) -> tuple[Camera | None, str]:
    """Return the first camera that delivers a frame, or None and the reason why there is none."""
    problems = []
    for camera in camera_candidates():
        if camera.problem is not None:
            problems.append(f"camera {camera.index}: {camera.problem}")
            continue
        capture = open_capture(camera.index)
        delivers = capture.isOpened() and capture.grab()
        capture.release()
        if delivers:
            return camera, ""
        problems.append(f"camera {camera.index} is in use or not there")
    if not problems:
        return None, "no camera was found"
    return None, f"no camera delivers a picture ({'; '.join(problems)})"
