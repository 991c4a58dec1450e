"""A user's own clips: videos or folders of frames, with clips.csv and events.csv beside them.

clips.csv: `clip, subject`, and `fps` for folders of frames. events.csv: `clip, onset_s, offset_s,
label`, `apex_s` where there is an apex, and optionally `kind`, `units` (or `au`), `release_s`,
`intensity` and `skew`. Times are seconds from the clip's first frame. Labels may be any text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from realtime.spec import NONE_LABEL
from training.annotations.tables import Faults, examine_clips, examine_course, examine_truth
from training.annotations.video_length import TOLERANCE_S, VideoSpan, video_span
from training.datasets.frames import numbered_pictures
from training.datasets.gathering import KnownStretches, as_table, known_emotion, refuse_empty
from training.datasets.records import Annotations, Clip, FrameFiles, Skipped, VideoRange
from training.datasets.spreadsheets import SkipRow

KEPT = ("release_s", "intensity", "skew")
"""Columns of events.csv that are kept where it has them."""


def read(root: Path) -> Annotations:
    """Read the annotations of a user's own clips in `root`."""
    table, clip_faults = examine_clips(root, ("subject",), folders=True)
    events_csv = root / "events.csv"
    truth, time_faults = examine_truth(events_csv, needs_apex=False)
    truth, course_faults = examine_course(truth)
    event_faults = course_faults | time_faults
    clips: dict[str, Clip] = {}
    rows: list[dict[str, Any]] = []
    skipped: list[Skipped] = []
    for place, row in enumerate(table.to_dict("records")):
        try:
            _refuse(clip_faults, place)
            clips[str(row["clip"])] = _clip(root, row)
        except SkipRow as skip:
            skipped.append(Skipped(f"clips.csv, row {place + 2}", str(skip)))
    taken, span_of = KnownStretches(), cache(video_span)  # which opens the video
    for place, row in enumerate(truth.to_dict("records")):
        where = f"events.csv, row {place + 2}"
        try:
            _refuse(event_faults, place)
            rows.append(_row(row, clips, taken, span_of, where))
        except SkipRow as skip:
            skipped.append(Skipped(where, str(skip)))
    found = Annotations(
        "folder", tuple(clips.values()), as_table(rows), tuple(skipped), tuple(_alike(clips))
    )
    return refuse_empty(found, str(events_csv))


def _refuse(faults: Faults, place: int) -> None:
    """Refuse a faulty row: raise SkipRow when the row at this place has a fault."""
    if place in faults:
        raise SkipRow(f"it {faults[place]}")


def _clip(root: Path, row: dict[Any, Any]) -> Clip:
    """Return the clip of a row of clips.csv. Raises SkipRow when the clip cannot be used."""
    name, subject = str(row["clip"]), row["subject"]
    if pd.isna(subject) or not str(subject).strip():
        raise SkipRow(f"there is no subject for {name}; name the person that it shows")
    path = root / name
    fps = float(pd.to_numeric(row.get("fps", math.nan), errors="coerce"))
    frames: VideoRange | FrameFiles = VideoRange(path)
    if path.is_dir():
        folder = numbered_pictures(path)
        if folder is None:
            raise SkipRow(f"the folder {name} has no pictures with a number; add them")
        if not 0 < fps < math.inf:
            raise SkipRow(f"{name} is a folder of frames without an fps; give its frames a second")
        frames = folder.frames
    return Clip(str(subject).strip(), name, fps, frames, is_long=True)


def _row(
    row: dict[Any, Any],
    clips: dict[str, Clip],
    taken: KnownStretches,
    span_of: Callable[[Path], VideoSpan],
    where: str,
) -> dict[str, Any]:
    """Return the annotation of a row of events.csv. Raises SkipRow when the event is impossible."""
    clip = clips.get(str(row["clip"]))
    if clip is None:
        raise SkipRow(f"clips.csv has no usable clip {row['clip']}; add it there")
    if pd.isna(row["label"]) or not str(row["label"]).strip():
        raise SkipRow("label is empty; name the expression, or take the row out")
    onset_s, offset_s = row["onset_s"], row["offset_s"]
    last_s = math.inf
    if isinstance(clip.frames, FrameFiles):
        numbers = clip.frames.numbers
        last_s = (numbers[-1] - numbers[0] + 1) / clip.fps  # when the last frame has been seen
    elif isinstance(clip.frames, VideoRange):
        span = span_of(clip.frames.path)
        last_s = span.end_s - span.start_s
    is_within = offset_s <= last_s + (TOLERANCE_S if isinstance(clip.frames, VideoRange) else 0.0)
    if not (0 <= onset_s <= offset_s and is_within) or math.isinf(offset_s):
        end = "" if math.isinf(last_s) else f", which ends at {round(last_s, 2):g} s"
        raise SkipRow(
            f"{onset_s:g} s to {offset_s:g} s lies outside of {clip.clip}{end}; times are seconds "
            "from its first frame, correct them"
        )
    emotion = known_emotion(str(row["label"]), "folder")
    if emotion == NONE_LABEL:
        raise SkipRow(
            f"the label {NONE_LABEL} is reserved for the absence of an expression; take the row "
            "out, or write another word"
        )
    taken.take(clip.clip, onset_s, offset_s, str(row["kind"]), where)
    estimated = bool(pd.isna(row["apex_s"]))
    au = row.get("units", row.get("au"))
    return {
        **{"dataset": "folder", "subject": clip.subject, "clip": clip.clip, "kind": row["kind"]},
        **{"onset_s": onset_s, "offset_s": offset_s, "apex_estimated": estimated},
        "apex_s": (onset_s + offset_s) / 2 if estimated else row["apex_s"],
        **{"emotion": emotion, "au": "" if pd.isna(au) else str(au)},
        **{"fps": clip.fps, "frames": clip.frames},
        **{name: row[name] for name in KEPT if name in row},
    }


def _alike(clips: dict[str, Clip]) -> Iterator[str]:
    """Yield a note on names of subjects that differ only in case or in leading zeros.

    If they are the same person, that person would be trained on and tested.
    """
    names: dict[str, set[str]] = {}
    for clip in clips.values():
        names.setdefault(clip.subject.lower().lstrip("0"), set()).add(clip.subject)
    for same in names.values():
        if len(same) > 1:
            yield (
                f"clips.csv has the subjects {' and '.join(sorted(same))}; they count as "
                "different people, so write them alike if they are the same person."
            )
