"""`analyze`: one video file in, one session folder out."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import ChainMap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from realtime.inference.devices import Device
from realtime.inference.model import DEFAULT_MODEL
from realtime.macro.model import MacroChoice, open_macro
from realtime.monitor import Monitor, monitor_settings
from realtime.recording.painting import frame_painter
from realtime.recording.recorder import RecordingContents, SessionRecorder
from realtime.session.reader import Session, load_session
from realtime.sources.video_file import VideoFile
from realtime.spotting.neutral_baseline import load_profile
from realtime.spotting.sensitivity import USUAL, Sensitivity
from realtime.types import Source, Update


def analysis_settings(
    model_sha256: str,
    *,
    max_faces: int = 1,
    macro: MacroChoice = True,
    sensitivity: float = USUAL,
    profile: str | Path | None = None,
    video: bool = True,
    keep_clean: bool = False,
    blur_faces: bool = False,
    clips: bool = True,
) -> dict[str, Any]:
    """What session.json states as `settings` when `analyze` is called with these arguments and a
    model of that hash: all that decides what is in a session, besides its file and the model.

    Raises ProfileError and ValueError as `analyze` does.
    """
    baseline = None if profile is None else load_profile(Path(profile), model_sha256)
    contents = RecordingContents(video, keep_clean, blur_faces, clips)
    settings = monitor_settings(max_faces, Sensitivity(sensitivity), baseline, open_macro(macro))
    return settings | dataclasses.asdict(contents)


def analyze(
    path: str | Path,
    out: str | Path | None = None,
    *,
    model: str | Path = DEFAULT_MODEL,
    device: Device = "auto",
    max_faces: int = 1,
    macro: MacroChoice = True,
    sensitivity: float = USUAL,
    profile: str | Path | None = None,
    video: bool = True,
    keep_clean: bool = False,
    blur_faces: bool = False,
    clips: bool = True,
    on_update: Callable[[Source, Update], None] | None = None,
) -> Session:
    """Every frame of a video file through the monitor, as fast as it goes.

    `out`: session folder to write; without it nothing is kept on disk and no video is made.
    `model` to `profile`: see `Monitor`; `video` to `clips`: see `realtime.recording.recorder.RecordingContents`.
    `on_update` is called after each frame. When the file breaks half way, what was read stays
    in the folder.

    Raises SourceError, ModelError, DeviceError, ProfileError or RecordingError, and ValueError for
    contents that cannot be had together.
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="kilas-") as folder:
            return analyze(
                path,
                Path(folder) / "session",
                model=model,
                device=device,
                max_faces=max_faces,
                macro=macro,
                sensitivity=sensitivity,
                profile=profile,
                video=False,
                on_update=on_update,
            )
    contents = RecordingContents(video, keep_clean, blur_faces, clips)
    with (
        Monitor(
            model,
            device=device,
            max_faces=max_faces,
            live=False,
            macro=macro,
            sensitivity=sensitivity,
            profile=profile,
        ) as monitor,
        VideoFile(path) as source,
        SessionRecorder(
            Path(out),
            monitor.spec,
            monitor.describe(source),
            frame_painter(monitor, blur_faces=blur_faces),
            wait=True,
            origin_s=0.0,
            contents=contents,
            upstream_drops=ChainMap(source.drops, monitor.drops),
            session_metadata=monitor.session_metadata,
        ) as recorder,
    ):
        for update in monitor.updates(source):
            recorder.write(update)
            if on_update is not None:
                on_update(source, update)
    return load_session(out)
