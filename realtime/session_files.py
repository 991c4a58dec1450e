"""Names of the files in a session folder, of columns in them, and of what `analyze` writes beside
the folders."""

from __future__ import annotations

SESSION_FILE = "session.json"
SCORES_FILE = "scores.csv"
EVENTS_FILE = "events.csv"
CONDITIONS_FILE = "conditions.csv"
VIDEO_FILE = "video.mp4"
CLEAN_FILE = "clean.mp4"
RECORDED_FILES = (
    SESSION_FILE,
    SCORES_FILE,
    EVENTS_FILE,
    CONDITIONS_FILE,
    VIDEO_FILE,
    CLEAN_FILE,
)
"""What the recorder itself writes; a folder with any of them holds a recording."""

SCORES_BEGIN = ("frame", "timestamp", "face_id", "success", "confidence")
"""Columns of scores.csv before those of the labels."""

SCORES_END = "state"
"""The column of scores.csv after those of the labels."""

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
SUMMARY_FILE = "summary.csv"
