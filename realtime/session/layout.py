"""Names of a session folder's files and columns, and of files that `analyze` writes beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from realtime.types import BLENDSHAPES, Conditions

EVENT_HEADER = (
    "event_id",
    "face_id",
    "onset_s",
    "apex_s",
    "offset_s",
    "duration_s",
    "label",
    "score",
)
"""Columns of events.csv."""

CONDITIONS_HEADER = ("frame", "timestamp", "face_id", *(one.name for one in fields(Conditions)))
"""Columns of conditions.csv."""

BLENDSHAPES_HEADER = ("frame", "timestamp", "face_id", *BLENDSHAPES)
"""Columns of blendshapes.csv."""


SESSION_FILE = "session.json"
SCORES_FILE = "scores.csv"
EVENTS_FILE = "events.csv"
CONDITIONS_FILE = "conditions.csv"
BLENDSHAPES_FILE = "blendshapes.csv"
VIDEO_FILE = "video.mp4"
CLEAN_FILE = "clean.mp4"
RECORDED_FILES = (
    SESSION_FILE,
    SCORES_FILE,
    EVENTS_FILE,
    CONDITIONS_FILE,
    BLENDSHAPES_FILE,
    VIDEO_FILE,
    CLEAN_FILE,
)
"""Files that the recorder itself writes; a folder with any of them holds a recording."""

SCORES_BEGIN = ("frame", "timestamp", "face_id", "success", "confidence")
"""Columns of scores.csv before those of the labels."""

SCORES_END = "state"
"""Last column of scores.csv."""

MACRO_PREFIX = "macro_"
"""Prefix of the columns of scores.csv that hold the smoothed scores of macro-expressions.

They come after those of the labels.
"""


def scores_header(labels: Iterable[str], macro_labels: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the columns of scores.csv; without `macro_labels`, those without macro-expressions."""
    return (*SCORES_BEGIN, *labels, *(MACRO_PREFIX + label for label in macro_labels), SCORES_END)


CLIPS_FOLDER = "clips"
REPORT_FILE = "report.html"
EXPORTED_FILES = (
    "scores.parquet",
    "events.parquet",
    "scores.jsonl",
    "events.jsonl",
    "events.vtt",
    "events.eaf",
)
"""Files that exports add to a session folder."""
SUMMARY_FILE = "summary.csv"
"""Table of all sessions of one call of `analyze`."""


def clip_stem(event_id: int) -> str:
    """Return the name of an event's files without their suffix: `event-0001`."""
    return f"event-{event_id:04d}"
