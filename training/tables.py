"""The tables beside labelled videos: clips.csv, events.csv and activities.csv."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from realtime.errors import KilasError
from training.expressions import ACTION_UNITS, KINDS, ScriptedEvent

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
"""What is taken for a video in a folder without clips.csv."""

TEXT_COLUMNS: dict[Hashable, type[str]] = dict.fromkeys(
    ("clip", "subject", "label", "kind", "units"), str
)
"""Columns that are no numbers, even where they look like some."""

COURSE_FIELDS = (
    "onset_s",
    "apex_s",
    "release_s",
    "offset_s",
    "label",
    "kind",
    "intensity",
    "units",
)
"""Columns of events.csv that training needs: what an expression is, and its course."""

_UNIT = rf"({'|'.join(ACTION_UNITS)})[LR]?(\*(\d+\.?\d*|\.\d+))?"
UNITS = re.compile(rf"{_UNIT}(\+{_UNIT})*")
"""How events.csv writes action units: `1+2L+5*0.6`, with sides and shares."""


def read_truth(labels_csv: Path) -> pd.DataFrame:
    """A row for each true expression: `clip, onset_s, apex_s, offset_s, label, kind`, and what
    else the table has; `kind` is `micro` where the table has no such column.

    Raises KilasError when the table cannot be read, a time is missing or out of order, or a
    kind is unknown.
    """
    truth = _read_table(labels_csv, ("clip", "onset_s", "apex_s", "offset_s", "label"))
    if "kind" not in truth:
        truth["kind"] = "micro"
    times = truth[["onset_s", "apex_s", "offset_s"]].apply(pd.to_numeric, errors="coerce")
    is_right = (times["onset_s"] <= times["apex_s"]) & (times["apex_s"] <= times["offset_s"])
    _refuse(labels_csv, ~is_right, "has no onset, apex and offset in that order; give seconds")
    strange = sorted(set(truth["kind"].astype(str)) - set(KINDS))
    if strange:
        raise KilasError(
            f"{labels_csv} has the kind {strange[0]}; an expression is {' or '.join(KINDS)}."
        )
    return truth.assign(**times)


def read_clips(videos: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A row for each clip: clips.csv, or without it the videos of the folder (`clip` alone).

    Raises KilasError when there is no video, one that clips.csv names is missing, or there is no
    clips.csv with all `columns`.
    """
    table = videos / "clips.csv"
    if columns or table.is_file():
        clips = _read_table(table, ("clip", *columns))
    elif videos.is_dir():
        names = sorted(p.name for p in videos.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
        clips = pd.DataFrame({"clip": names}, dtype=str)
    else:
        raise KilasError(f"There is no folder {videos}; give the folder of the videos.")
    if clips.empty:
        raise KilasError(f"{videos} has no videos; give the folder of the videos.")
    if clips["clip"].duplicated().any():
        raise KilasError(f"{table} names a clip twice; give each clip one row.")
    missing = [clip for clip in clips["clip"] if not (videos / clip).is_file()]
    if missing:
        raise KilasError(f"{table} names {missing[0]}, which is not beside it; add the video.")
    return clips


def read_activities(videos: Path) -> pd.DataFrame | None:
    """A row for each stretch of activity that is no expression: `clip, start_s, end_s, kind`;
    None without an activities.csv.

    Raises KilasError when the table cannot be read, or a time is missing or out of order.
    """
    path = videos / "activities.csv"
    if not path.is_file():
        return None
    table = _read_table(path, ("clip", "start_s", "end_s", "kind"))
    times = table[["start_s", "end_s"]].apply(pd.to_numeric, errors="coerce")
    is_right = (times["start_s"] <= times["end_s"]) & table["kind"].notna()
    _refuse(path, ~is_right, "has no start, end and kind in that order; give times in seconds")
    return table.assign(**times)


def _refuse(path: Path, is_wrong: pd.Series, fault: str) -> None:
    """Raise KilasError when a row of the table is wrong; it names the first such line."""
    if is_wrong.any():
        raise KilasError(f"Line {int(is_wrong.to_numpy().argmax()) + 2} of {path} {fault}.")


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=TEXT_COLUMNS)
    except (OSError, ValueError) as error:
        raise KilasError(
            f"The table {path} cannot be read ({error}); give a CSV file with a header."
        ) from error
    missing = set(columns) - set(table.columns)
    if missing:
        raise KilasError(
            f"{path} lacks the columns {', '.join(sorted(missing))}; add them to the table."
        )
    _refuse(path, table["clip"].isna(), "names no clip; give the file name of its video")
    return table


def read_events(events_csv: Path) -> dict[str, list[ScriptedEvent]]:
    """The true expressions of each clip that has any, with the course that training needs: see
    `intensity_at`.

    Raises KilasError as `read_truth` does, and when a column is missing, or release, intensity,
    label or units of an event cannot be.
    """
    truth = read_truth(events_csv)
    missing = set(COURSE_FIELDS) - set(truth.columns)
    if missing:
        raise KilasError(
            f"{events_csv} lacks the columns {', '.join(sorted(missing))}, which training needs; "
            "add them to the table."
        )
    numbers = truth[["release_s", "intensity"]].apply(pd.to_numeric, errors="coerce")
    release_s, intensity = numbers["release_s"], numbers["intensity"]
    lies_between = (truth["apex_s"] <= release_s) & (release_s <= truth["offset_s"])
    _refuse(events_csv, ~lies_between, "has no release between apex and offset; give seconds")
    is_positive = (intensity > 0) & (intensity < np.inf)
    _refuse(events_csv, ~is_positive, "has no intensity above 0; give 1 for the full range")
    _refuse(events_csv, truth["label"].isna(), "has no label; say what is expressed")
    is_known = truth["units"].fillna("").map(lambda text: bool(UNITS.fullmatch(text)))
    known = f"1+2L+5*0.6, out of {', '.join(ACTION_UNITS)}"
    _refuse(events_csv, ~is_known.astype(bool), f"has unknown units; write them as {known}")
    truth = truth.assign(**numbers)
    events: dict[str, list[ScriptedEvent]] = {}
    for row in truth.to_dict("records"):
        event = ScriptedEvent(**{field: row[field] for field in COURSE_FIELDS})
        events.setdefault(str(row["clip"]), []).append(event)
    return events
