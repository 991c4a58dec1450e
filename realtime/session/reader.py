"""Reader of a session folder.

The folder's shape is checked here, once: code that gets a `Session` can rely on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from realtime.errors import RecordingError
from realtime.session.layout import (
    CONDITIONS_FILE,
    CONDITIONS_HEADER,
    EVENT_HEADER,
    EVENTS_FILE,
    SCORES_END,
    SCORES_FILE,
    SESSION_FILE,
    scores_header,
)

LARGEST = 1e10
"""Largest count, time or rate of a recording: in seconds it is 300 years."""

COLUMN_TYPES = {
    "frame": "int64",
    "event_id": "int64",
    "face_id": "Int64",  # a frame may show no face
    "success": "bool",
    "label": "object",
    "state": "object",
}
"""Types of the columns of a session's tables; the others are numbers with a fraction."""

REQUIRED = ("status", "labels")
"""Keys of session.json without which a session cannot be used."""

FACTS_SHAPE: dict[str, Any] = {
    "status": str,
    "error": (str, None),
    "started": str,
    "updated": str,
    "versions": dict,
    "model": {"name": str, "version": str, "rate_hz": (float, None), "card": (str, None)},
    "labels": [str],
    "macro": ({"name": str, "labels": [str]}, None),
    "spotting": (dict, None),
    "device": (str, None),
    "source": {"name": str, "rate_hz": (float, None), "live": bool},
    "settings": (dict, None),
    "first_frame_s": (float, None),
    "frames": int,
    "video_frames": int,
    "drops": {...: int},
    "duration_s": (float, None),
    "frame_rate": ({...: (float, None)}, None),
    "events": int,
    "calibration": (dict, None),
    "sensitivity_changes": ([{"from_s": float}], None),
}
"""Shape of the values in session.json, where they are there.

Each is a type, a list of a shape, an object with some keys or, at `...`, with any; or a choice of
these. Other keys may hold anything.
"""

_TYPE_NAMES: dict[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
    None: "null",
}
"""JSON's own names of the types of values."""


@dataclass(frozen=True, slots=True)
class Session:
    """Content of a session folder.

    `scores`: a row for each frame and face. `events`: a row for each micro-expression. `facts`: the
    content of session.json.
    """

    scores: pd.DataFrame
    events: pd.DataFrame
    facts: dict[str, Any]


def load_session(folder: str | Path) -> Session:
    """Read a session folder.

    Raises RecordingError when one of its files is missing or is not as Kilas writes it.

    Example:

        from realtime import analyze, load_session

        analyze("talk.mp4", out="talk")
        session = load_session("talk")
        print(session.facts["status"], session.events[["onset_s", "label", "score"]])
    """
    folder = Path(folder)
    facts = read_metadata(folder)
    return Session(
        scores=read_scores(folder, facts["labels"], macro_labels(facts)),
        events=read_events(folder),
        facts=facts,
    )


def read_metadata(folder: Path) -> dict[str, Any]:
    """Read the content of session.json. Raises RecordingError."""
    path = folder / SESSION_FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _cannot_read(path, error) from error
    except (ValueError, RecursionError) as error:
        raise _is_damaged(path, str(error)) from error
    check_metadata(path, facts)
    return dict(facts)


def check_metadata(path: Path, facts: object) -> None:
    """Check that `facts`, the content of `path`, is a session's; raise RecordingError if not."""
    wrong = _misfit(facts, FACTS_SHAPE, "its content")
    if wrong is None and isinstance(facts, dict):
        missing = [key for key in REQUIRED if key not in facts]
        if missing:
            wrong = f"it has no {missing[0]!r}"
        else:
            columns = scores_header(facts["labels"], macro_labels(facts))
            if len(set(columns)) < len(columns):
                wrong = "two labels are the same, or one is the name of another column"
    if wrong is not None:
        raise _is_damaged(path, wrong)


def macro_labels(facts: Mapping[str, Any]) -> list[str]:
    """Return the labels of the macro-expressions that were scored; none where they were not."""
    labels: list[str] = (facts.get("macro") or {}).get("labels", [])
    return labels


def read_scores(
    folder: Path, labels: Sequence[str], macro_labels: Sequence[str] = ()
) -> pd.DataFrame:
    """Read the content of scores.csv. Raises RecordingError."""
    header = scores_header(labels, macro_labels)
    always = ("frame", "timestamp", "success", SCORES_END)
    return _read_table(
        folder / SCORES_FILE, header, [name for name in header if name not in always]
    )


def read_events(folder: Path) -> pd.DataFrame:
    """Read the content of events.csv. Raises RecordingError."""
    return _read_table(folder / EVENTS_FILE, EVENT_HEADER, ())


def read_conditions(folder: Path) -> pd.DataFrame | None:
    """Read the content of conditions.csv, which older sessions lack. Raises RecordingError."""
    path = folder / CONDITIONS_FILE
    if not path.exists():
        return None
    return _read_table(path, CONDITIONS_HEADER, ())[list(CONDITIONS_HEADER)]


def _read_table(path: Path, header: Sequence[str], may_be_empty: Sequence[str]) -> pd.DataFrame:
    """Read the columns of `header`, and any others with the types that pandas chooses."""
    types = {name: COLUMN_TYPES.get(name, "float64") for name in header}
    try:
        # Text is read as it is: a label may be "NA". Numbers are given their types afterwards,
        # because whole-number types cannot hold empty or infinite cells.
        table = pd.read_csv(
            path,
            dtype={
                name: "object" if kind == "object" else "float64" for name, kind in types.items()
            },
            keep_default_na=False,
            na_values=[""],
        )
    except OSError as error:
        raise _cannot_read(path, error) from error
    except (ValueError, OverflowError) as error:
        raise _is_damaged(path, str(error)) from error
    wrong = _misfit_of_table(table, types, may_be_empty)
    if wrong is not None:
        raise _is_damaged(path, wrong)
    return table.astype(types)


def _misfit_of_table(
    table: pd.DataFrame, types: Mapping[str, str], may_be_empty: Sequence[str]
) -> str | None:
    """Return the first fault of a table as text; None if there is none."""
    for name, kind in types.items():
        if name not in table.columns:
            return f"it has no column {name!r}"
        column = table[name]
        if name not in may_be_empty and column.isna().any():
            return f"a cell of the column {name!r} is empty"
        if kind == "object":
            continue
        values = column.dropna().to_numpy(np.float64)
        if (np.abs(values) > LARGEST).any():
            return f"a number of the column {name!r} is too large"
        if kind != "float64" and (values % 1 != 0).any():
            return f"a number of the column {name!r} is not whole"
    if not isinstance(table.index, pd.RangeIndex):
        return "its rows have more cells than its first line"
    return None


def _misfit(value: object, shape: Any, name: str) -> str | None:
    """Return the first fault of `value`, which is called `name`, as text; None if there is none."""
    choices = shape if isinstance(shape, tuple) else (shape,)
    for choice in choices:
        if isinstance(choice, dict) and isinstance(value, dict):
            shapes = {key: choice.get(key, choice.get(...)) for key in value}
            inner = [(repr(key), value[key], one) for key, one in shapes.items() if one is not None]
        elif isinstance(choice, list) and isinstance(value, list):
            inner = [(f"an entry of {name}", one, choice[0]) for one in value]
        elif _is_a(value, choice):
            return None
        else:
            continue
        found = (_misfit(one, inner_shape, inner_name) for inner_name, one, inner_shape in inner)
        return next((wrong for wrong in found if wrong is not None), None)
    kinds = [kind if kind is None or isinstance(kind, type) else type(kind) for kind in choices]
    return f"{name} is not {' or '.join(_TYPE_NAMES[kind] for kind in kinds)}"


def _is_a(value: object, kind: object) -> bool:
    """Return True if a value of JSON is of a simple kind.

    true is no number, and 1 is a number with or without a fraction.
    """
    if kind is None or value is None:
        return kind is value
    if kind in (int, float):
        is_number = isinstance(value, (int,) if kind is int else (int, float))
        # NaN is not larger than anything.
        return is_number and not isinstance(value, bool) and -LARGEST <= value <= LARGEST  # type: ignore[operator]
    return isinstance(kind, type) and isinstance(value, kind)


def _cannot_read(path: Path, error: OSError) -> RecordingError:
    """Return the error for a file that cannot be read."""
    return RecordingError(
        f"{path.parent} cannot be read as a session ({path.name}: {error.strerror}); "
        "choose a folder that a recording has written."
    )


def _is_damaged(path: Path, wrong: str) -> RecordingError:
    """Return the error for a file whose content is wrong."""
    return RecordingError(
        f"{path.parent} cannot be read as a session ({path.name} is not what Kilas writes: "
        f"{' '.join(wrong.split())}); repair that file, or make the session again."
    )
