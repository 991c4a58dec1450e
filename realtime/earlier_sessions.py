"""Session folders of earlier runs: recognised if complete, removed if they can be made anew."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from realtime.errors import KilasError, RecordingError
from realtime.exports import EAF_FILE, has_annotations
from realtime.session.layout import (
    CLIPS_FOLDER,
    EVENTS_FILE,
    EXPORTED_FILES,
    RECORDED_FILES,
    REPORT_FILE,
    SCORES_BEGIN,
    SCORES_FILE,
    SESSION_FILE,
)
from realtime.storage.durable_file import PARTIAL, is_full
from realtime.storage.folder_lock import LOCK_FILE, QUIET_S, FolderLock

OWN_FILES = (*RECORDED_FILES, *EXPORTED_FILES, REPORT_FILE)
"""Files that Kilas writes into a session folder, besides the clips."""

OTHER_TABLE = b"file,"
"""Beginning of a table of `realtime.batch.macro_scores`, whose file has the name of a session's."""

CLIP_PATTERNS = ("event-*.mp4", "event-*.png")

BEFORE = {"blendshapes": False}
"""Settings that older sessions do not state, and what held for them."""

WITHOUT_MACRO = "macro: it has none, as with --macro off"
"""Text for a session without macro-expression scores, also if it is older than these scores."""

MODIFIED_WITHIN_S = 2.0
"""Difference below which two times of a file's last change are the same: the file systems of memory
cards, and ZIP files, round to this."""

RETRY_S = 0.5
"""Seconds between two tries to take over a folder that another run may still write."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Source, model and settings that decide the content of a session folder.

    `settings`: see `AnalysisOptions.settings`.
    """

    source: Path
    model_sha256: str
    settings: Mapping[str, Any]


def is_complete(folder: Path, wanted: Wanted) -> bool:
    """Return True if the folder holds the complete session that is wanted.

    Raises OSError and ValueError, and RecordingError when its session.json is no session's.
    """
    metadata = _read_metadata(folder)
    has_tables = all((folder / name).exists() for name in (SCORES_FILE, EVENTS_FILE))
    return (
        metadata is not None
        and metadata["status"] == "complete"
        and has_tables
        and not _differences(metadata, wanted)
    )


def holds_session_of(folder: Path, source: Path) -> bool:
    """Return True if the folder holds a session, however it ended, of this very file."""
    try:
        metadata = _read_metadata(folder)
        return metadata is not None and _is_of_named(metadata["source"], source)
    except (OSError, RecordingError):
        return False


def make_room(folder: Path, wanted: Wanted, *, overwrite: bool) -> None:
    """Remove a session of this file that was not completed; with `overwrite` any file's session.

    Files that Kilas did not write stay, and so do an events.eaf that people have changed and live
    recordings, which nobody can make again.

    Raises OSError, and RecordingError when the folder holds a session that may not be removed, when
    another run is writing it, and when the source itself lies in the folder.
    """
    if folder in wanted.source.parents:
        raise RecordingError(
            f"{wanted.source} lies in {folder}, where its own session would go; choose another "
            "--out."
        )
    metadata = _read_metadata(folder)
    if metadata is None:
        if _scores(folder).startswith(OTHER_TABLE):
            raise RecordingError(
                f"{folder} holds a table of `analyze --task macro`; choose another --out."
            )
        if not _has_begun(folder):
            return
        if _has_rows(folder) and not overwrite:
            raise RecordingError(
                f"{folder} holds a session whose {SESSION_FILE} was lost; choose another --out, or "
                "replace it with --overwrite (in Python overwrite=True)."
            )
        _wait_until_free(folder)
    else:
        if metadata["source"].get("live"):
            raise RecordingError(f"{folder} holds a live recording; choose another --out.")
        is_of_same = metadata["source"].get("name") == wanted.source.name
        is_unfinished = metadata["status"] != "complete" and is_of_same
        differences = _differences(metadata, wanted)
        if differences and not is_unfinished and not overwrite:
            raise RecordingError(
                f"{folder} holds a session of {' and '.join(differences)}; choose another "
                "--out, or replace it with --overwrite (in Python overwrite=True)."
            )
        if metadata["status"] == "recording":
            _wait_until_free(folder)
    _remove(folder)


def _read_metadata(folder: Path) -> dict[str, Any] | None:
    """Return the content of session.json; None if it is missing or incomplete."""
    try:
        text = (folder / SESSION_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:  # the latter: brackets within brackets
        if _has_begun(folder):
            return None
        raise _foreign(folder) from error
    is_sessions = isinstance(metadata, dict) and "status" in metadata
    if not is_sessions or not all(isinstance(metadata.get(k), dict) for k in ("model", "source")):
        raise _foreign(folder)
    return dict(metadata)


def _foreign(folder: Path) -> RecordingError:
    return RecordingError(
        f"{folder / SESSION_FILE} was not written by Kilas; choose another --out."
    )


def _has_begun(folder: Path) -> bool:
    """Return True if a recorder has begun to write this folder."""
    header = ",".join(SCORES_BEGIN).encode()
    return _scores(folder).startswith(header) or (folder / LOCK_FILE).exists()


def _has_rows(folder: Path) -> bool:
    return _scores(folder).count(b"\n") > 1


def _scores(folder: Path) -> bytes:
    try:
        return (folder / SCORES_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""


def _differences(metadata: Mapping[str, Any], wanted: Wanted) -> list[str]:
    """Return texts of the differences between a session and the wanted session."""
    differences = []
    if not _is_of(metadata["source"], wanted.source):
        differences.append("another file, or the same before it was changed")
    if metadata["model"].get("sha256") != wanted.model_sha256:
        differences.append("another model")
    found = metadata.get("settings")
    expected = json.loads(json.dumps(dict(wanted.settings)))  # as they come out of a file
    if not isinstance(found, dict):
        differences.append("unknown settings")
    elif keys := sorted(
        key for key in {*found, *expected} if found.get(key, BEFORE.get(key)) != expected.get(key)
    ):
        if "macro" in keys and found.get("macro") is None:
            keys[keys.index("macro")] = WITHOUT_MACRO
        differences.append(f"other settings ({', '.join(keys)})")
    return differences


def _is_of_named(stated: Mapping[str, Any], source: Path) -> bool:
    return stated.get("name") == source.name and _is_of(stated, source)


def _is_of(stated: Mapping[str, Any], source: Path) -> bool:
    now = source.stat()
    try:
        then_s = datetime.fromisoformat(stated["modified"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):  # none, or not a file's
        return False
    is_as_long = stated.get("bytes") == now.st_size
    return is_as_long and abs(then_s - now.st_mtime) < MODIFIED_WITHIN_S


def _wait_until_free(folder: Path) -> None:
    """Wait until no recorder writes the folder.

    A recorder that was killed a moment ago looks alive where file systems have no locks. Raises
    RecordingError if another run still writes it then.
    """
    until_s = time.monotonic() + QUIET_S + RETRY_S
    lock = FolderLock(folder)
    while not lock.take_over():
        if time.monotonic() > until_s:
            raise RecordingError(f"{folder} is being written by another run; wait for its end.")
        time.sleep(RETRY_S)
    lock.release()


def _remove(folder: Path) -> None:
    kept = {EAF_FILE} if has_annotations(folder) else set()
    for pattern in CLIP_PATTERNS:
        for clip in (folder / CLIPS_FOLDER).glob(pattern):
            clip.unlink()
    # session.json last, so that the rest of an interrupted removal is still known as a session.
    for name in sorted(OWN_FILES, key=lambda name: name == SESSION_FILE):
        (folder / f"{name}{PARTIAL}").unlink(missing_ok=True)
        if name not in kept:
            (folder / name).unlink(missing_ok=True)


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Make the folder of all results, and keep other calls out of it.

    Raises RecordingError when another call is writing into it.
    """
    lock = FolderLock(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        is_free = lock.take()
    except OSError as error:
        raise cannot_write(out, error) from error
    if not is_free:
        raise RecordingError(
            f"Another run is writing into {out}; wait for its end, or choose another --out."
        )
    try:
        yield
    finally:
        lock.release()


def no_space(folder: Path) -> KilasError:
    """Return the error of a full disk."""
    return KilasError(
        f"There is no space left for {folder}; free some space and run the same again: complete "
        "files are skipped."
    )


def cannot_write(path: Path, error: OSError) -> KilasError:
    """Return the error of a file or folder that cannot be written."""
    if is_full(error):
        return no_space(path)
    return RecordingError(f"{path} cannot be written ({error.strerror}); choose another --out.")
