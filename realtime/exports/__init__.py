"""Export of a session folder to the formats of other programs.

    parquet   scores.parquet, events.parquet: tables with types (pandas, polars, R, DuckDB)
    jsonl     scores.jsonl, events.jsonl: one JSON object a row
    vtt       events.vtt: WebVTT, the events as subtitles of the video
    eaf       events.eaf: ELAN, the events as annotations that people can code against

Tables keep the columns and the clock of the CSV files. Subtitles and annotations are in media
time, whose 0 is the first frame of the videos. An events.eaf that was changed is never replaced:
it may hold days of somebody's work.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from realtime.errors import RecordingError
from realtime.exports.eaf import elan_document
from realtime.exports.tables import json_lines, parquet
from realtime.exports.vtt import web_vtt
from realtime.session.layout import CLEAN_FILE, VIDEO_FILE
from realtime.session.reader import Session, load_session
from realtime.storage.durable_file import replace_file

EAF_FILE = "events.eaf"

FILES = {
    "parquet": ("scores.parquet", "events.parquet"),
    "jsonl": ("scores.jsonl", "events.jsonl"),
    "vtt": ("events.vtt",),
    "eaf": (EAF_FILE,),
}
"""Files of each format."""

FORMATS = tuple(FILES)


def export_session(folder: Path, formats: Collection[str]) -> list[Path]:
    """Write a finished session folder's scores and events in `formats`, into the same folder.

    Returns the files, in the order of `FORMATS`. Each is written whole or not at all, and
    replaces an earlier file of its name. Raises ValueError for a format that is not in `FORMATS`,
    and RecordingError for an events.eaf that was changed, both before anything is written, and
    RecordingError when the folder holds no session or cannot be written.

    Example:

        from pathlib import Path
        from realtime.exports import export_session

        export_session(Path("recordings/2025-03-01_14-05-09"), ["parquet", "vtt"])
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ValueError(f"unknown format {', '.join(unknown)}; known are {', '.join(FORMATS)}")
    session = load_session(folder)
    contents = _contents(session, folder, formats)
    eaf = folder / EAF_FILE
    if eaf in contents and _holds_other(eaf, contents[eaf]):
        raise annotated(folder)
    for path, content in contents.items():
        try:
            replace_file(path, content)
        except OSError as error:
            raise RecordingError(
                f"{path} cannot be written ({error.strerror}); "
                "make room for it or allow writing, and export again."
            ) from error
    return list(contents)


def has_annotations(folder: Path) -> bool:
    """Return True if there is an events.eaf that `export_session` would not write just so now."""
    path = folder / EAF_FILE
    if not path.exists():
        return False
    try:
        session = load_session(folder)
    except RecordingError:
        return True  # without its session nothing shows what was exported
    return _holds_other(path, _eaf(session, folder))


def annotated(folder: Path) -> RecordingError:
    """Return the error to raise instead of replacing an events.eaf that `has_annotations`."""
    return RecordingError(
        f"{folder / EAF_FILE} was changed by somebody, or its session was; rename it and try again."
    )


def _holds_other(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() != content
    except FileNotFoundError:
        return False
    except OSError:  # an unreadable file may hold anything
        return True


def _contents(session: Session, folder: Path, formats: Collection[str]) -> dict[Path, bytes]:
    """Make the content of each file, in the order of `FORMATS`."""
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
        contents[folder / EAF_FILE] = _eaf(session, folder)
    return contents


def _eaf(session: Session, folder: Path) -> bytes:
    # The unannotated video first: ELAN takes the first as the video to code by.
    videos = [name for name in (CLEAN_FILE, VIDEO_FILE) if (folder / name).exists()]
    return elan_document(session, videos)
