"""`analyze`: one video file in, one session folder out."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.earlier_sessions import Wanted, is_complete, make_room
from realtime.errors import SourceError
from realtime.inference.devices import Device
from realtime.inference.model import DEFAULT_MODEL, find_model
from realtime.macro.model import MacroChoice, open_macro
from realtime.monitor import Monitor, monitor_settings
from realtime.recording.painting import frame_painter
from realtime.recording.recorder import RECORD_EVERYTHING, RecordingContents, SessionRecorder
from realtime.session.reader import Session, load_session
from realtime.sources.file_urls import local_path
from realtime.sources.video_file import VideoFile
from realtime.spotting.neutral_baseline import load_profile
from realtime.spotting.sensitivity import USUAL, Sensitivity
from realtime.types import Source, Update


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """Options that decide what a session holds, besides its file and its model.

    `max_faces` to `profile`: see `Monitor`; `contents`: what the folder holds besides its tables.
    """

    max_faces: int = 1
    macro: MacroChoice = True
    sensitivity: float = USUAL
    profile: str | Path | None = None
    contents: RecordingContents = RECORD_EVERYTHING

    def settings(self, model_sha256: str) -> dict[str, Any]:
        """Return the `settings` of session.json for these options and a model of that hash.

        Raises ModelError, ProfileError and ValueError as `analyze` does.
        """
        profile = None if self.profile is None else load_profile(Path(self.profile), model_sha256)
        settings = monitor_settings(
            self.max_faces, Sensitivity(self.sensitivity), profile, open_macro(self.macro)
        )
        return settings | dataclasses.asdict(self.contents)


DEFAULT_OPTIONS = AnalysisOptions()
"""Options of an analysis that asks for nothing special."""


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
    blendshapes: bool = False,
    overwrite: bool = False,
    on_update: Callable[[Source, Update], None] | None = None,
) -> Session:
    """Analyze every frame of a video file, as fast as it goes.

    `path`: its path or its `file://` address. `out`: session folder to write; without it nothing is
    kept on disk and no video is made. If the folder holds the complete session of the same file,
    model and options already, that session is returned; a session of the file that was cut off is
    made anew; any other stays, and RecordingError is raised, unless `overwrite`.
    `model` to `profile`: see `Monitor`; `video` to `blendshapes`: see
    `realtime.recording.recorder.RecordingContents`. `on_update` is called after each frame. When
    the file breaks half way, what was read stays in the folder.

    Raises SourceError, ModelError, DeviceError, ProfileError or RecordingError, and ValueError for
    contents that cannot be had together.

    Example:

        session = analyze("talk.mp4", "results/talk")
        print(session.events[["onset_s", "apex_s", "offset_s", "label", "score"]])
    """
    if not isinstance(path, str | os.PathLike):
        raise SourceError(
            f"Only video files can be analyzed, not {path!r}; a camera is watched with Monitor and "
            "open_source."
        )
    contents = RecordingContents(video, keep_clean, blur_faces, clips, blendshapes)
    options = AnalysisOptions(max_faces, macro, sensitivity, profile, contents)
    if out is not None:
        session_folder, source = Path(out), local_path(path).absolute()
        if session_folder.exists() and source.is_file():
            sha256 = hashlib.sha256(find_model(model).read_bytes()).hexdigest()
            wanted = Wanted(source, sha256, options.settings(sha256))
            if is_complete(session_folder, wanted):
                return load_session(session_folder)
            make_room(session_folder, wanted, overwrite=overwrite)
        return analyze_file(path, session_folder, model, device, options, on_update)
    options = dataclasses.replace(options, contents=RecordingContents(video=False))
    with tempfile.TemporaryDirectory(prefix="kilas-") as folder:
        return analyze_file(path, Path(folder) / "session", model, device, options, on_update)


def analyze_file(
    path: str | Path,
    folder: Path,
    model: str | Path,
    device: Device,
    options: AnalysisOptions,
    on_update: Callable[[Source, Update], None] | None = None,
) -> Session:
    """Write the session folder of one video file; see `analyze`."""
    with (
        Monitor(
            model,
            device=device,
            max_faces=options.max_faces,
            live=False,
            macro=options.macro,
            sensitivity=options.sensitivity,
            profile=options.profile,
            blendshapes=options.contents.blendshapes,
        ) as monitor,
        VideoFile(path) as source,
        SessionRecorder(
            folder,
            monitor.spec,
            monitor.describe(source),
            frame_painter(monitor, blur_faces=options.contents.blur_faces),
            wait=True,
            origin_s=0.0,
            contents=options.contents,
            upstream_drops=ChainMap(source.drops, monitor.drops),
            session_metadata=monitor.session_metadata,
        ) as recorder,
    ):
        for update in monitor.updates(source):
            recorder.write(update)
            if on_update is not None:
                on_update(source, update)
    return load_session(folder)
