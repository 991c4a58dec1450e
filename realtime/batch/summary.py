"""The table summary.csv of a batch: one row for each file."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

from realtime.earlier_sessions import cannot_write
from realtime.errors import RecordingError
from realtime.session.layout import SESSION_FILE, SUMMARY_FILE
from realtime.storage.durable_file import replace_file

STATUSES = ("done", "skipped", "failed")

TEXTS = ("file", "folder", "status", "reason", "lost_causes")

EVENT_COUNT_PREFIX = "events_"
"""Prefix of the columns with the number of a label's events."""

LOSSES = ("lost_frames", "lost_causes")
"""Columns about lost frames, which tables of earlier versions lack."""

COLUMNS = (
    *("file", "folder", "status", "reason", "frames", *LOSSES),
    *("duration_s", "face_share", "events", "events_per_minute"),
)
"""Columns of summary.csv before those of the labels."""

FRACTIONS = ("duration_s", "face_share", "events_per_minute")

Row = dict[str, Any]
"""One row of summary.csv: column name to value."""

DECIMALS = 6
"""Decimals of the numbers in summary.csv, as in the other tables."""


def summary_table(rows: Sequence[Row], labels: Sequence[str]) -> pd.DataFrame:
    """Make a table of rows, with a column of counts for each label."""
    counts = [f"{EVENT_COUNT_PREFIX}{label}" for label in labels]
    # Objects: a file's name need not be text, which pandas' own strings refuse.
    return _typed(pd.DataFrame(rows, columns=[*COLUMNS, *counts], dtype=object))


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Give the columns their types and round the fractions.

    Raises ValueError and TypeError for a cell that should be a number and is not.
    """
    types = {name: "Int64" for name in table.columns if name not in (*TEXTS, *FRACTIONS)}
    types |= dict.fromkeys(FRACTIONS, "float64")
    return table.astype(types).round(dict.fromkeys(FRACTIONS, DECIMALS))


def collection_table(
    rows: Sequence[Row], earlier: Sequence[Row], labels: Sequence[str], out: Path
) -> pd.DataFrame:
    """Make a table of this call's rows and those earlier rows whose session is still there.

    In the order of `folder`.
    """
    anew = {row["folder"] for row in rows}
    kept = [
        row
        for row in earlier
        if row["folder"] not in anew and (out / row["folder"] / SESSION_FILE).is_file()
    ]
    # Another model has other labels.
    counted = [name for row in kept for name in row if name not in COLUMNS]
    others = [name.removeprefix(EVENT_COUNT_PREFIX) for name in counted]
    ordered = sorted([*kept, *rows], key=itemgetter("folder"))
    return summary_table(ordered, list(dict.fromkeys([*labels, *others])))


def read_summary(out: Path) -> list[Row]:
    """Read the rows of an earlier call, without the empty cells of numbers.

    Raises RecordingError if summary.csv was changed or is another table.
    """
    path = out / SUMMARY_FILE
    try:
        types: dict[Hashable, type[object]] = dict.fromkeys(TEXTS, object)
        table = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
        if set(LOSSES).isdisjoint(table.columns):
            others = [name for name in COLUMNS if name not in LOSSES]
            counts = [name for name in table.columns if name not in COLUMNS]
            if list(table.columns) == [*others, *counts]:
                table = table.reindex(columns=[*COLUMNS, *counts])
        names = list(table.columns)
        are_ours = tuple(names[: len(COLUMNS)]) == COLUMNS and all(
            name.startswith(EVENT_COUNT_PREFIX) for name in names[len(COLUMNS) :]
        )
        if not are_ours or not table["status"].isin(STATUSES).all():
            raise ValueError("other columns or statuses")
        table = _typed(table.fillna(dict.fromkeys(TEXTS, "")))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise RecordingError(
            f"{path} is not as Kilas wrote it, and would be replaced; rename it and start again."
        ) from error
    return [
        {str(name): value for name, value in row.items() if not pd.isna(value)}
        for row in table.to_dict("records")
    ]


def write_summary(table: pd.DataFrame, out: Path) -> None:
    """Write summary.csv, as a whole.

    A file's name that is no text is written with backslashes.
    """
    content = table.to_csv(index=False, lineterminator="\n").encode(errors="backslashreplace")
    path = out / SUMMARY_FILE
    try:
        replace_file(path, content)
    except OSError as error:
        raise cannot_write(path, error) from error
