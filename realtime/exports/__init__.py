"""A session folder in the formats of other programs.

    parquet   scores.parquet, events.parquet: tables with types (pandas, polars, R, DuckDB)
    jsonl     scores.jsonl, events.jsonl: one JSON object a row
    vtt       events.vtt: WebVTT, the events as subtitles of the video
    eaf       events.eaf: ELAN, the events as annotations that people can code against

Tables keep the columns and the clock of the CSV files. Subtitles and annotations are in media
time, whose 0 is the first frame of the videos.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from realtime.disk_file import replace_file
from realtime.errors import RecordingError
from realtime.exports.eaf import elan_document
from realtime.exports.tables import json_lines, parquet
from realtime.exports.vtt import web_vtt
from realtime.session import Session, load_session
from realtime.session_files import CLEAN_FILE, VIDEO_FILE

FORMATS = ("parquet", "jsonl", "vtt", "eaf")


def export_session(folder: Path, formats: Collection[str]) -> list[Path]:
    """Write a finished session folder's scores and events in `formats`, into the same folder.

    Returns the files, in the order of `FORMATS`. Each is written whole or not at all, and
    replaces one that is there. Raises ValueError for a format that is not in `FORMATS`, before
    anything is written, and RecordingError when the folder holds no session or cannot be
    written.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ValueError(f"unknown format {', '.join(unknown)}; known are {', '.join(FORMATS)}")
    try:
        session = load_session(folder)
    except OSError as error:
        raise RecordingError(
            f"{folder} cannot be read as a session ({error.strerror}: {error.filename}); "
            "name a folder that a recording has written."
        ) from error
    contents = _contents(session, folder, formats)
    for path, content in contents.items():
        try:
            replace_file(path, content)
        except OSError as error:
            raise RecordingError(
                f"{path} cannot be written ({error.strerror}); "
                "make room for it or allow writing, and export again."
            ) from error
    return list(contents)


def _contents(session: Session, folder: Path, formats: Collection[str]) -> dict[Path, bytes]:
    """File -> content, in the order of `FORMATS`."""
    contents = {}
    if "parquet" in formats:
        contents[folder / "scores.parquet"] = parquet(session.scores, session.facts)
        contents[folder / "events.parquet"] = parquet(session.events, session.facts)
    if "jsonl" in formats:
        contents[folder / "scores.jsonl"] = json_lines(session.scores)
        contents[folder / "events.jsonl"] = json_lines(session.events)
    if "vtt" in formats:
        contents[folder / "events.vtt"] = web_vtt(session)
    if "eaf" in formats:
        # The unannotated video first: ELAN takes the first as the one to code by.
        videos = [name for name in (CLEAN_FILE, VIDEO_FILE) if (folder / name).exists()]
        contents[folder / "events.eaf"] = elan_document(session, videos)
    return contents
