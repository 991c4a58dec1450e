"""Conversion of a dataset to a file of face sequences, by the live path's own stages.

Every clip goes through the same landmarks, alignment, regions and clock as a camera's picture,
so a network is trained on the same input that it gets live. The result is a file of gray aligned
faces with their annotations; the signal (gray or motion) is computed from them when training
starts.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pandas as pd

from realtime.errors import KilasError, SourceError
from realtime.faces.landmarks import view_68
from realtime.faces.tracker import FaceTracker
from realtime.parallel.process_pool import map_ordered
from realtime.preprocessing.regions import extract_regions
from realtime.preprocessing.windowing import Slot, UniformClock
from realtime.session.losses import causes_text
from realtime.sources.images import read_picture
from realtime.sources.video_file import VideoFile
from realtime.spec import ModelSpec
from realtime.types import Frame, UInt8Array
from training.annotations.expression import AnnotatedExpression
from training.datasets import read_dataset
from training.datasets.fer2013 import read_still
from training.datasets.records import Clip, FrameFiles, Skipped, VideoRange, format_skipped
from training.preparation.sequence_file import FaceSequence, SequenceWriter, WrittenClip, full_table

BEFORE_S = 2.0
"""Seconds of a short clip that are read before its first expression, for the motion signal's
baseline."""

AFTER_S = 0.6
"""Seconds of a short clip that are read after its last expression: half a window, and a rest."""

STILL_FACE_PX = 192
"""Side in pixels to which stills of faces are enlarged before landmarks are looked for."""

STILL_BORDER = 0.25
"""Margin around such a still, as a share of its side: the detector needs a whole head.

Of 200 pictures of FER2013 it finds a face in 93 % with the margin and in 87 % without.
"""

Span = tuple[float, float]
"""Beginning and end in seconds from the clip's first frame."""

ALL: Span = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Summary:
    """Result of `prepare`.

    `clips`: number of clips that show a face; `streams` and `slots`: number of face sequences and
    of their slots; `table`: all expressions; `skipped`: each row, clip or expression that is left
    out, and why; `notes`: remarks on odd data that was used.
    """

    dataset: str
    clips: int
    streams: int
    slots: int
    table: pd.DataFrame
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def read_sequences(
    frames: Iterable[Frame],
    clip: str,
    subject: str,
    spec: ModelSpec,
    events: tuple[AnnotatedExpression, ...] = (),
) -> list[FaceSequence]:
    """Return all face sequences of a clip that shows one person, in order.

    They are on the model's clock and have its mask.
    """
    clock = UniformClock(spec.rate_hz, spec.max_gap_s)
    runs: list[tuple[list[float], list[UInt8Array]]] = []

    def keep(slots: Iterable[Slot]) -> None:
        for slot in slots:
            if slot.is_first:
                runs.append(([], []))
            runs[-1][0].append(slot.t_s)
            runs[-1][1].append(slot.regions[0])

    last_face = None
    with FaceTracker(max_faces=1) as track_faces:
        for frame in frames:
            for face in track_faces(frame):
                if face.face_id != last_face:
                    keep(clock.flush())
                    last_face = face.face_id
                points = None if spec.mask == "none" else view_68(face.points_xy)
                regions = extract_regions(
                    frame.image_bgr, face.transform, "single", spec.mask, points
                )
                keep(clock.push(frame.t_s, regions))
    keep(clock.flush())
    return [
        FaceSequence(clip, subject, np.stack(faces), np.array(times), events)
        for times, faces in runs
    ]


def prepare(dataset: str, root: Path, out: Path, spec: ModelSpec, jobs: int) -> Summary:
    """Write the face sequences of a dataset at `root` to the file `out`.

    `dataset`: a name of `training.datasets.DATASETS`. An interrupted call goes on with the clips
    that are missing. Raises KilasError when the root or its annotations cannot be used, or no face
    is found.
    """
    found = read_dataset(dataset, root)
    table = full_table(found.table)
    spans_s = _spans_s(table)
    tasks = [
        (clip, ALL if clip.is_long else spans_s[clip.subject, clip.clip], spec)
        for clip in found.clips
    ]
    made_from = {
        **{"dataset": dataset, "rate_hz": spec.rate_hz, "mask": spec.mask},
        **{
            "max_gap_s": spec.max_gap_s,
            "clips": [_fingerprint(clip, span) for clip, span, _ in tasks],
        },
    }
    with SequenceWriter(out, made_from) as writer:
        before = writer.written
        waiting = [task for task in tasks if (task[0].subject, task[0].clip) not in before]
        read = map_ordered(_read_task, waiting, jobs, "reading clips", len(before))
        for (clip, _, _), (sequences, note) in zip(waiting, read, strict=True):
            writer.add(clip.subject, clip.clip, sequences, note)
        written = writer.written
        if not any(done.spans_s for done in written.values()):
            writer.discard()
            (_, name), first = next(iter(written.items()))
            raise KilasError(
                f"No face was found in any clip of {root} ({name}: {first.note}); give whole "
                "pictures of faces from in front."
            )
        writer.finish(table, dataset, spec.rate_hz, spec.mask)
    unseen = _unseen(table, written, 1.0 / spec.rate_hz)
    noted = (
        f"{name}: {done.note}." for (_, name), done in written.items() if done.note and done.spans_s
    )
    return Summary(
        dataset=dataset,
        clips=sum(bool(done.spans_s) for done in written.values()),
        streams=sum(len(done.spans_s) for done in written.values()),
        slots=sum(done.slots for done in written.values()),
        table=table,
        skipped=(*found.skipped, *unseen),
        notes=(*found.notes, *noted),
    )


def format_summary(summary: Summary, out: Path) -> str:
    """Return the result of `prepare` as text, with the skipped parts as by `format_skipped`."""
    table = summary.table
    kinds = table["kind"].value_counts()
    emotions = table["emotion"].replace("", "no emotion").value_counts()
    subjects = len(set(table["subject"]) - {""})
    lines = [
        f"{out}: {summary.clips} clips of {subjects or 'unnamed'} subjects, "
        f"{summary.slots} slots in {summary.streams} face sequences.",
        "Expressions: "
        + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        + "; "
        + ", ".join(f"{emotion} {count}" for emotion, count in emotions.items())
        + ".",
    ]
    lines += format_skipped(summary.skipped, out)
    lines += [f"Note: {note}" for note in summary.notes]
    return "\n".join(lines)


class Pictures:
    """Pictures of a clip within a span of its time, in seconds from its first picture.

    A picture that cannot be read leaves a gap.
    """

    def __init__(self, clip: Clip, span_s: Span) -> None:
        self.delivered = 0
        self._clip = clip
        self._span_s = span_s
        self._lost: Counter[str] = Counter()
        self._failure = ""

    def __iter__(self) -> Iterator[Frame]:
        try:
            for frame in self._read():
                self.delivered += 1
                yield frame
        except SourceError as error:
            self._failure = str(error).rstrip(".")

    @property
    def fault(self) -> str:
        """Description of the pictures that were missing, after the iteration; empty if none."""
        faults = [self._failure] if self._failure else []
        if lost := self._lost.total():
            causes = causes_text(self._lost)
            faults.append(f"{lost} of {lost + self.delivered} pictures cannot be read ({causes})")
        return "; ".join(faults)

    def _read(self) -> Iterator[Frame]:
        frames = self._clip.frames
        if isinstance(frames, VideoRange):
            yield from self._read_video(frames)
        elif isinstance(frames, FrameFiles):
            yield from self._read_files(frames)
        else:
            yield Frame(0, 0.0, _enlarged(read_still(frames)))

    def _read_video(self, video: VideoRange) -> Iterator[Frame]:
        first_s = None
        with VideoFile(video.path) as source:
            self._lost = source.drops
            for frame in source:
                if video.first <= frame.id <= video.last:
                    first_s = frame.t_s if first_s is None else first_s
                    yield replace(frame, t_s=frame.t_s - first_s)

    def _read_files(self, files: FrameFiles) -> Iterator[Frame]:
        first = files.numbers[0]
        for path, number in zip(files.paths, files.numbers, strict=True):
            t_s = (number - first) / self._clip.fps
            if self._span_s[0] <= t_s <= self._span_s[1]:
                image_bgr = read_picture(path)
                if image_bgr is None:
                    self._lost["damaged"] += 1
                else:
                    yield Frame(number - first, t_s, image_bgr)


def _enlarged(gray: UInt8Array) -> UInt8Array:
    """Enlarge a still of a face, uint8 [h, w], to a colour picture in which a face can be found."""
    side = (STILL_FACE_PX, STILL_FACE_PX)
    face = cv2.resize(gray, side, interpolation=cv2.INTER_CUBIC)
    border = round(STILL_BORDER * STILL_FACE_PX)
    whole = cv2.copyMakeBorder(face, border, border, border, border, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(whole, cv2.COLOR_GRAY2BGR), np.uint8)


def _spans_s(table: pd.DataFrame) -> dict[tuple[str, str], Span]:
    """Return the part of each short clip that is read: its expressions and their surroundings."""
    clips = table.groupby(["subject", "clip"])
    first_s, last_s = clips["onset_s"].min() - BEFORE_S, clips["offset_s"].max() + AFTER_S
    return {
        (str(subject), str(clip)): (first_s[subject, clip], last_s[subject, clip])
        for subject, clip in first_s.index
    }


def _fingerprint(clip: Clip, span_s: Span) -> list[str | float]:
    """Return all that decides the pictures of a clip's face sequences, and their times."""
    paths = clip.frames.paths if isinstance(clip.frames, FrameFiles) else (clip.frames.path,)
    pictures = hashlib.sha256()
    for path in paths:
        found = path.stat()
        pictures.update(f"{path.resolve()} {found.st_size} {found.st_mtime_ns}\n".encode())
    return [clip.subject, clip.clip, clip.fps, *span_s, pictures.hexdigest()]


def _read_task(task: tuple[Clip, Span, ModelSpec]) -> tuple[list[FaceSequence], str]:
    """Return the face sequences of a clip, and a note on its faults, empty if it has none."""
    clip, span_s, spec = task
    pictures = Pictures(clip, span_s)
    sequences = read_sequences(pictures, clip.clip, clip.subject, spec)
    if sequences:
        return sequences, pictures.fault
    if not pictures.delivered:
        return [], pictures.fault or "it has no picture around its expressions; add them"
    faults = f"; {pictures.fault}" if pictures.fault else ""
    return [], f"no face was found in any of its pictures ({pictures.delivered}){faults}"


def _unseen(
    table: pd.DataFrame, written: Mapping[tuple[str, str], WrittenClip], slot_s: float
) -> Iterator[Skipped]:
    """Yield each clip that shows no face, and each other expression without a face at its apex."""
    expressions = Counter(zip(table["subject"], table["clip"], strict=True))
    for (subject, clip), done in written.items():
        if not done.spans_s:
            count = expressions[subject, clip]
            lost = f"; its {count} expressions are lost with it" if count > 1 else ""
            yield Skipped(clip, f"{done.note}{lost}")
    for row in table.itertuples():
        done = written[str(row.subject), str(row.clip)]
        apex_s = cast(float, row.apex_s)
        is_seen = any(first - slot_s <= apex_s <= last + slot_s for first, last in done.spans_s)
        if done.spans_s and not is_seen:
            fault = f" ({done.note})" if done.note else ""
            yield Skipped(str(row.clip), f"no face is seen at its apex at {apex_s:.2f} s{fault}")
