"""Labelled videos to the slots that networks are trained on, through the live path's own stages.

Every video goes through the same landmarks, alignment, regions and clock as a camera's picture,
so a network is trained on what it will see. The result is a file of gray aligned faces with
their events; the signal (gray or motion) is computed from them when training starts.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime.errors import KilasError
from realtime.landmarks import FaceTracker, view_68
from realtime.motion import BASELINE_SLOTS, BASELINE_STEP_S
from realtime.regions import extract_regions
from realtime.sources import VideoFile
from realtime.spec import FACE_SIZE, NONE_LABEL, ModelSpec
from realtime.timeline import UniformClock
from realtime.types import Frame
from training.expressions import ScriptedEvent, intensity_at
from training.pools import for_all
from training.tables import read_clips, read_events

SHOWN = 0.2
"""Share of an expression's peak, seen against the baseline, from which a slot counts as it."""

HIDDEN = 0.05
"""Share of the peak up to which a slot counts as none; between the two it has no label."""

NO_LABEL = -1
"""Label of slots that neither train nor test."""

STORED = ("faces", "t_s", "stream", "clip", "subject", "events", "rate_hz", "mask")
"""Arrays of a file of streams: see `write_streams`."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One unbroken run of slots of one face.

    `faces`: uint8 [S, 128, 128]; `t_s`: float64 [S], seconds from the video's start; `events`:
    all expressions of the video.
    """

    clip: str
    subject: str
    faces: npt.NDArray[np.uint8]
    t_s: npt.NDArray[np.float64]
    events: tuple[ScriptedEvent, ...]


def read_streams(
    frames: Iterable[Frame],
    clip: str,
    subject: str,
    events: tuple[ScriptedEvent, ...],
    spec: ModelSpec,
) -> list[Stream]:
    """All streams of the face of one video that shows one person, in order, on the model's clock
    and with its mask."""
    clock = UniformClock(spec.rate_hz, spec.max_gap_s)
    runs: list[tuple[list[float], list[npt.NDArray[np.uint8]]]] = []
    last_face = None
    with FaceTracker(max_faces=1) as track_faces:
        for frame in frames:
            for face in track_faces(frame):
                if face.face_id != last_face:
                    clock.restart()
                    last_face = face.face_id
                points = None if spec.mask == "none" else view_68(face.points_xy)
                regions = extract_regions(
                    frame.image_bgr, face.transform, "single", spec.mask, points
                )
                for slot in clock.push(frame.t_s, regions):
                    if slot.is_first:
                        runs.append(([], []))
                    runs[-1][0].append(slot.t_s)
                    runs[-1][1].append(slot.regions[0])
    return [
        Stream(clip, subject, np.stack(faces), np.array(times), events)
        for times, faces in runs
        if times
    ]


def slot_labels(
    t_s: npt.NDArray[np.float64],
    events: Iterable[ScriptedEvent],
    labels: tuple[str, ...],
    rate_hz: float,
) -> npt.NDArray[np.int64]:
    """Class index of each slot of one stream, or NO_LABEL; int64 [S].

    t_s: float64 [S]; events: those of this video. A slot shows an expression when the
    expression stands out from the baseline that the motion signal has at that moment, which is
    therefore built here in the same way from the true intensities. So the release of a long
    smile, which the baseline has got used to, is `none`.
    """
    result = np.full(len(t_s), labels.index(NONE_LABEL), np.int64)
    step = max(1, round(BASELINE_STEP_S * rate_hz))
    for event in events:
        intensity = intensity_at(event, t_s)
        baseline = np.empty_like(intensity)
        for slot in range(len(t_s)):
            newest = slot // step
            seen = np.arange(max(0, newest - BASELINE_SLOTS + 1), newest + 1) * step
            baseline[slot] = np.median(intensity[seen])
        shown = (intensity - baseline) / event.intensity
        result[shown >= SHOWN] = labels.index(event.label)
        result[(shown > HIDDEN) & (shown < SHOWN)] = NO_LABEL
    return result


def prepare(folder: Path, out: Path, spec: ModelSpec, jobs: int) -> None:
    """Write the streams of all clips of `folder` (clips.csv, events.csv, videos) to `out`.

    Raises KilasError when the tables cannot be used, a video is missing, an event has a label that
    the model does not know, or no clip shows a face.
    """
    clips = read_clips(folder, ("subject",))
    events = read_events(folder / "events.csv")
    strange = {event.label for own in events.values() for event in own} - set(spec.labels)
    if strange:
        raise KilasError(
            f"The model does not know the label {min(strange)}; it knows {', '.join(spec.labels)}. "
            "Rename the labels or take a recipe that has them."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    tasks = [
        (folder / str(clip), str(subject), tuple(events.get(str(clip), ())), spec)
        for clip, subject in zip(clips["clip"], clips["subject"], strict=True)
    ]
    streams = [one for found in for_all(_read_task, tasks, jobs, "reading clips") for one in found]
    if not streams:
        raise KilasError(f"No video of {folder} shows a face; give videos of faces from in front.")
    write_streams(streams, spec, out)


def _read_task(task: tuple[Path, str, tuple[ScriptedEvent, ...], ModelSpec]) -> list[Stream]:
    video, subject, events, spec = task
    with VideoFile(video) as source:
        return read_streams(source, video.name, subject, events, spec)


def write_streams(streams: list[Stream], spec: ModelSpec, out: Path) -> None:
    """Write streams, which may be none, to one file of a folder that is made if need be. It
    appears under its name only when it is complete.

    An uncompressed .npz: `faces` uint8 [N, 128, 128], `t_s` float64 [N], `stream` int32 [N]; for
    each stream `clip`, `subject` and `events` (JSON), all as fixed-width text; and of the model
    that it is for `rate_hz` and `mask`.
    """
    counts = [len(stream.t_s) for stream in streams]
    events = [
        json.dumps([dataclasses.asdict(event) for event in stream.events]) for stream in streams
    ]
    faces = [np.empty((0, FACE_SIZE, FACE_SIZE), np.uint8), *(one.faces for one in streams)]
    t_s = [np.empty(0), *(one.t_s for one in streams)]
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}")
    with unfinished.open("wb") as file:
        np.savez(
            file,
            faces=np.concatenate(faces),
            t_s=np.concatenate(t_s),
            stream=np.repeat(np.arange(len(streams), dtype=np.int32), counts),
            clip=np.array([stream.clip for stream in streams], np.str_),
            subject=np.array([stream.subject for stream in streams], np.str_),
            events=np.array(events, np.str_),
            rate_hz=np.array(spec.rate_hz),
            mask=np.array(spec.mask),
        )
    unfinished.replace(out)


def load_streams(prepared: Iterable[Path], spec: ModelSpec) -> Iterator[Stream]:
    """The streams of files that `write_streams` wrote, and of all such files in folders.

    Files whose names begin with a dot are unfinished and left out. Raises KilasError when there is
    no file, one holds no streams, or one was prepared for another clock or mask.
    """
    files = [file for path in prepared for file in _stream_files(path)]
    if not files:
        raise KilasError("There are no prepared streams; make some with `prepare` or `simulate`.")
    for file in files:
        yield from _read_file(file, spec)


def _stream_files(path: Path) -> list[Path]:
    if not path.exists():
        raise KilasError(f"There is no {path}; give files of streams, or folders of them.")
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.glob("*.npz") if not file.name.startswith("."))


def _read_file(file: Path, spec: ModelSpec) -> list[Stream]:
    """The streams of one file, as views of what it holds. Raises KilasError: see `load_streams`."""
    try:
        with np.load(file, allow_pickle=False) as data:
            held = {name: data[name] for name in STORED}
        found = (float(held["rate_hz"]), str(held["mask"]))
        faces, t_s, stream, clips = (held[name] for name in ("faces", "t_s", "stream", "clip"))
        shapes = (faces.shape, t_s.shape, stream.shape)
        slots = len(faces)
        if shapes != ((slots, FACE_SIZE, FACE_SIZE), (slots,), (slots,)):
            raise ValueError(f"faces, t_s and stream have the shapes {shapes}")
        if faces.dtype != np.uint8:
            raise ValueError(f"the faces are {faces.dtype}")
        edges = np.searchsorted(stream, np.arange(len(clips) + 1))
        streams = [
            Stream(
                str(clip),
                str(subject),
                faces[first:end],
                t_s[first:end],
                tuple(ScriptedEvent(**event) for event in json.loads(str(events))),
            )
            for clip, subject, events, first, end in zip(
                clips, held["subject"], held["events"], edges[:-1], edges[1:], strict=True
            )
        ]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise KilasError(
            f"{file} holds no streams ({error}); give files that `prepare` or `simulate` wrote."
        ) from error
    if found != (spec.rate_hz, spec.mask):
        raise KilasError(
            f"{file} was prepared for {found[0]:g} slots a second and mask {found[1]}, "
            f"the recipe wants {spec.rate_hz:g} and {spec.mask}; prepare the videos again."
        )
    return streams
