"""Readers of the tables beside labelled videos: clips.csv, events.csv and activities.csv."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from realtime.errors import KilasError
from realtime.sources.video_file import VIDEO_SUFFIXES
from training.annotations.csv_text import read_csv_text
from training.annotations.expression import ACTION_UNITS, KINDS, AnnotatedExpression

TEXT_COLUMNS: dict[Hashable, type[str]] = dict.fromkeys(
    ("clip", "subject", "label", "kind", "units"), str
)
"""Columns that are read as text, even where they look like numbers."""

MISSING_NUMBERS = ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None"]
"""Texts in place of a number that is missing."""

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
"""Columns of events.csv that training needs: label, kind and course of each expression."""

Faults = dict[int, str]
"""Faults of rows of a table, by the row's place from 0.

The row is the subject of the sentence, as in `names no clip; give the file name of its video`.
"""

_UNIT = rf"({'|'.join(ACTION_UNITS)})[LR]?(\*(\d+\.?\d*|\.\d+))?"
UNITS = re.compile(rf"{_UNIT}(\+{_UNIT})*")
"""Pattern of action units in events.csv, with sides and shares: `1+2L+5*0.6`."""


def read_truth(labels_csv: Path) -> pd.DataFrame:
    """Read the table of the true expressions, a row for each.

    Columns: `clip, onset_s, apex_s, offset_s, label, kind`, and all others of the table; `kind` is
    `micro` where the table has no such column. Raises KilasError when the table cannot be read, a
    row names no clip, a time is missing or out of order, or a kind is unknown.
    """
    truth, faults = examine_truth(labels_csv)
    _refuse(labels_csv, faults)
    return truth


def examine_truth(labels_csv: Path, *, needs_apex: bool = True) -> tuple[pd.DataFrame, Faults]:
    """Read the table of the true expressions as `read_truth` does, and list its rows' faults.

    Unless `needs_apex` the apex may be missing (or `/`) in a row, and in all of them. Raises
    KilasError when the table cannot be read or lacks a column.
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
    strange = {
        place: f"has the kind {kind!r}; an expression is {' or '.join(KINDS)}"
        for place, kind in enumerate(truth["kind"].fillna(""))
        if kind not in KINDS
    }
    order = _faults(~is_right, "has no onset, apex and offset in that order; give seconds")
    return truth.assign(**times), strange | order | _without_clip(truth)


def read_clips(videos: Path) -> pd.DataFrame:
    """Read clips.csv, a row for each clip; without it, list the folder's videos (`clip` alone).

    Raises KilasError when there is no video, or clips.csv cannot be read or names a video twice or
    a video that is missing.
    """
    table = videos / "clips.csv"
    if table.is_file():
        clips, faults = examine_clips(videos)
        _refuse(table, faults)
    elif videos.is_dir():
        names = sorted(p.name for p in videos.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
        clips = pd.DataFrame({"clip": names}, dtype=str)
    else:
        raise KilasError(f"There is no folder {videos}; give the folder of the videos.")
    if clips.empty:
        raise KilasError(f"{videos} has no videos; give the folder of the videos.")
    return clips


def examine_clips(
    videos: Path, columns: Sequence[str] = (), *, folders: bool = False
) -> tuple[pd.DataFrame, Faults]:
    """Read the rows of clips.csv and list their faults.

    With `folders` a clip may be a folder of frames. Raises KilasError when the table cannot be
    read or lacks a column.
    """
    clips = _read_table(videos / "clips.csv", ("clip", *columns))
    is_there = Path.exists if folders else Path.is_file
    missing = {
        place: f"names {name}, which is not beside it; add the video"
        for place, name in enumerate(clips["clip"])
        if not (pd.isna(name) or is_there(videos / name))
    }
    again = {
        place: f"names {clips['clip'][place]} a second time; give each clip one row"
        for place in np.flatnonzero(clips["clip"].duplicated()).tolist()
    }
    return clips, missing | again | _without_clip(clips)


def read_activities(videos: Path) -> pd.DataFrame | None:
    """Read activities.csv, a row for each stretch of activity that is no expression.

    Columns: `clip, start_s, end_s, kind`. Returns None without an activities.csv. Raises KilasError
    when the table cannot be read, or a time is missing or out of order.
    """
    path = videos / "activities.csv"
    if not path.is_file():
        return None
    table = _read_table(path, ("clip", "start_s", "end_s", "kind"))
    times = table[["start_s", "end_s"]].apply(pd.to_numeric, errors="coerce")
    is_right = (times["start_s"] <= times["end_s"]) & table["kind"].notna()
    wrong = _faults(~is_right, "has no start, end and kind in that order; give times in seconds")
    _refuse(path, wrong | _without_clip(table))
    return table.assign(**times)


def _faults(is_wrong: pd.Series, fault: str) -> Faults:
    return dict.fromkeys(np.flatnonzero(is_wrong).tolist(), fault)


def _without_clip(table: pd.DataFrame) -> Faults:
    return _faults(table["clip"].isna(), "names no clip; give the file name of its video")


def _refuse(path: Path, faults: Faults) -> None:
    """Refuse a table with a wrong row: raise KilasError that names the first such line."""
    if faults:
        place = min(faults)
        header_line = read_csv_text(path)[2]
        raise KilasError(f"Line {header_line + 1 + place} of {path} {faults[place]}.")


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a table whose columns may be spelt with capitals and spaces.

    A decimal comma counts where commas do not separate cells. In text columns `NA` is a text.
    """
    try:
        text, separator, _ = read_csv_text(path)
        header = next(csv.reader(io.StringIO(text), delimiter=separator), [])
        names = [re.sub(r"\s+", "_", name.strip().lower()) for name in header]
        missing_texts = {name: [""] if name in TEXT_COLUMNS else MISSING_NUMBERS for name in names}
        table = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=0,
            names=names,
            index_col=False,
            dtype=TEXT_COLUMNS,
            decimal="." if separator == "," else ",",
            skipinitialspace=True,
            keep_default_na=False,
            na_values=missing_texts,
        )
        for name in TEXT_COLUMNS.keys() & set(names):
            table[name] = table[name].str.strip()
    except (OSError, ValueError, csv.Error) as error:
        raise KilasError(
            f"The table {path} cannot be read ({error}); give a CSV file with a header."
        ) from error
    missing = set(columns) - set(table.columns)
    if missing:
        raise KilasError(
            f"{path} lacks the columns {', '.join(sorted(missing))}; add them to the table."
        )
    return table


def read_events(events_csv: Path) -> dict[str, list[AnnotatedExpression]]:
    """Read the true expressions of each clip that has any, by clip.

    They have the course that training needs: see `intensity_at`. Raises KilasError as `read_truth`
    does, and when a column is missing, or release, intensity, label or units of an event are
    impossible.
    """
    truth = read_truth(events_csv)
    missing = set(COURSE_FIELDS) - set(truth.columns)
    if missing:
        raise KilasError(
            f"{events_csv} lacks the columns {', '.join(sorted(missing))}, which training needs; "
            "add them to the table."
        )
    truth, faults = examine_course(truth, complete=True)
    unlabelled = _faults(truth["label"].isna(), "has no label; name the expression")
    _refuse(events_csv, unlabelled | faults)
    events: dict[str, list[AnnotatedExpression]] = {}
    for row in truth.to_dict("records"):
        event = AnnotatedExpression(**{field: row[field] for field in COURSE_FIELDS})
        events.setdefault(str(row["clip"]), []).append(event)
    return events


def examine_course(truth: pd.DataFrame, *, complete: bool = False) -> tuple[pd.DataFrame, Faults]:
    """Convert the columns that describe the course to numbers, and list the rows' faults.

    Returns the table `truth` (see `examine_truth`) with numbers for `release_s`, `intensity` and
    `skew`, where it has them, and the faults of rows in which any of them or the units is
    impossible. Missing values are a fault only if `complete`.
    """
    numbers = {
        name: pd.to_numeric(truth[name], errors="coerce")
        for name in ("release_s", "intensity", "skew")
        if name in truth
    }
    faults: Faults = {}

    def check(name: str, is_right: pd.Series, fault: str) -> None:
        may_lack = truth[name].isna() & (not complete)
        faults.update(_faults(~(is_right | may_lack), fault))

    if "units" in truth:
        is_known = truth["units"].fillna("").map(lambda text: bool(UNITS.fullmatch(text)))
        known = f"1+2L+5*0.6, out of {', '.join(ACTION_UNITS)}"
        check("units", is_known.astype(bool), f"has unknown units; write them as {known}")
    if "skew" in numbers:
        check("skew", numbers["skew"].notna(), "has a skew that is no number; give one")
    if "intensity" in numbers:
        is_positive = (numbers["intensity"] > 0) & (numbers["intensity"] < np.inf)
        check("intensity", is_positive, "has no intensity above 0; give 1 for the full range")
    if "release_s" in numbers:
        release_s, apex_s = numbers["release_s"], truth["apex_s"].fillna(truth["onset_s"])
        lies_between = (apex_s <= release_s) & (release_s <= truth["offset_s"])
        check("release_s", lies_between, "has no release between apex and offset; give seconds")
    return truth.assign(**numbers), faults
