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


def read_truth(labels_csv: Path, *, needs_apex: bool = True) -> pd.DataFrame:
    """A row for each true expression: `clip, onset_s, apex_s, offset_s, label, kind`, and what
    else the table has; `kind` is `micro` where the table has no such column. Unless `needs_apex`
    the apex may be missing (or `/`) in a row, and in all of them.

    Raises KilasError when the table cannot be read, a time is missing or out of order, or a
    kind is unknown.
    """
    apex = ("apex_s",) if needs_apex else ()
    truth = _read_table(labels_csv, ("clip", "onset_s", *apex, "offset_s", "label"))
    if "kind" not in truth:
        truth["kind"] = "micro"
    if "apex_s" not in truth:
        truth["apex_s"] = np.nan
    times = truth[["onset_s", "apex_s", "offset_s"]].apply(pd.to_numeric, errors="coerce")
    apex_s = times["apex_s"]
    if not needs_apex:
        is_given = truth["apex_s"].notna() & (truth["apex_s"].astype(str).str.strip() != "/")
        apex_s = apex_s.where(is_given, times["onset_s"])
    is_right = (times["onset_s"] <= apex_s) & (apex_s <= times["offset_s"])
    _refuse(labels_csv, ~is_right, "has no onset, apex and offset in that order; give seconds")
    strange = sorted(set(truth["kind"].astype(str)) - set(KINDS))
    if strange:
        raise KilasError(
            f"{labels_csv} has the kind {strange[0]}; an expression is {' or '.join(KINDS)}."
        )
    return truth.assign(**times)


def read_clips(videos: Path, columns: Sequence[str] = (), *, folders: bool = False) -> pd.DataFrame:
    """A row for each clip: clips.csv, or without it the videos of the folder (`clip` alone).
    With `folders` a clip may be a folder of frames.

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
    is_there = Path.exists if folders else Path.is_file
    missing = [clip for clip in clips["clip"] if not is_there(videos / clip)]
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
    check_course(events_csv, truth, complete=True)
    _refuse(events_csv, truth["label"].isna(), "has no label; say what is expressed")
    numbers = truth[["release_s", "intensity"]].apply(pd.to_numeric)
    truth = truth.assign(**numbers)
    events: dict[str, list[ScriptedEvent]] = {}
    for row in truth.to_dict("records"):
        event = ScriptedEvent(**{field: row[field] for field in COURSE_FIELDS})
        events.setdefault(str(row["clip"]), []).append(event)
    return events


def check_course(events_csv: Path, truth: pd.DataFrame, *, complete: bool = False) -> None:
    """Raise KilasError when a release, intensity, skew or unit of an event cannot be; unless
    `complete`, those that are missing are not asked for.

    truth: see `read_truth`.
    """

    def refuse(name: str, is_right: pd.Series, fault: str) -> None:
        may_lack = truth[name].isna() & (not complete)
        _refuse(events_csv, ~(is_right | may_lack), fault)

    numbers = {
        name: pd.to_numeric(truth[name], errors="coerce")
        for name in ("release_s", "intensity", "skew")
        if name in truth
    }
    if "release_s" in numbers:
        release_s, apex_s = numbers["release_s"], truth["apex_s"].fillna(truth["onset_s"])
        lies_between = (apex_s <= release_s) & (release_s <= truth["offset_s"])
        fault = "has no release between apex and offset; give seconds"
        refuse("release_s", lies_between, fault)
    if "intensity" in numbers:
        is_positive = (numbers["intensity"] > 0) & (numbers["intensity"] < np.inf)
        refuse("intensity", is_positive, "has no intensity above 0; give 1 for the full range")
    if "skew" in numbers:
        refuse("skew", numbers["skew"].notna(), "has a skew that is no number; give one")
    if "units" in truth:
        is_known = truth["units"].fillna("").map(lambda text: bool(UNITS.fullmatch(text)))
        known = f"1+2L+5*0.6, out of {', '.join(ACTION_UNITS)}"
        refuse("units", is_known.astype(bool), f"has unknown units; write them as {known}")
