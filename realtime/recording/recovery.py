"""Recovery of a session whose recording was cut off by a kill, a loss of power or a full disk.

Everything is taken from the files themselves. All whole rows are kept, and all pictures up to the
last whole fragment, each with its own time; nothing is encoded anew.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import av

from realtime.errors import RecordingError
from realtime.recording.frame_statistics import FrameClock
from realtime.recording.video_writer import MUXER_BUFFER_BYTES
from realtime.session.layout import (
    BLENDSHAPES_FILE,
    BLENDSHAPES_HEADER,
    CLEAN_FILE,
    CLIPS_FOLDER,
    CONDITIONS_FILE,
    CONDITIONS_HEADER,
    EVENT_HEADER,
    EVENTS_FILE,
    MACRO_PREFIX,
    RECORDED_FILES,
    SCORES_BEGIN,
    SCORES_END,
    SCORES_FILE,
    SESSION_FILE,
    VIDEO_FILE,
    scores_header,
)
from realtime.session.reader import check_metadata, macro_labels, read_events, read_scores
from realtime.storage.durable_file import PARTIAL, replace_file, sync_file, sync_folder
from realtime.storage.folder_lock import FolderLock

COMMAND_LINE = Path(__file__).resolve().parents[2] / "stream.py"
"""Script that `finish_in_subprocess` runs."""

VIDEOS = (VIDEO_FILE, CLEAN_FILE)

OPTIONAL_TABLES = {
    CONDITIONS_FILE: CONDITIONS_HEADER,
    BLENDSHAPES_FILE: BLENDSHAPES_HEADER,
}
"""Tables that not every session has, and their columns."""

NAL_LENGTH_BYTES = 4
"""Bytes of the length with which each unit of H.264 begins in MP4 (ISO/IEC 14496-15)."""


def recover_session(folder: Path) -> bool:
    """Finish the session in `folder` if its recorder no longer can; return False if there was
    nothing to do.

    Incomplete rows, and rows that a loss of power damaged, are cut out of the tables; the videos
    become plain MP4 files with the same pictures at the same times; session.json gets the status
    "recovered" and the counts of the files. A session that failed is completed likewise. A recovery
    that was cut off itself is finished by the next.

    Raises RecordingError if the folder is no session, is being recorded, or cannot be written, or
    if its metadata are not in Kilas's format; everything recorded is still there then.

    Example:

        from pathlib import Path
        from realtime.recording.recovery import recover_session

        if recover_session(Path("recordings/2025-03-01_14-05-09")):
            print("The session is whole again.")
    """
    try:
        metadata = _read_metadata(folder)
        if _is_finished(metadata):
            return False
        if metadata is None and _labels(folder / SCORES_FILE) is None:
            raise RecordingError(
                f"{folder} is not a recorded session; name the folder that has its {SESSION_FILE}."
            )
        with FolderLock(folder) as lock:
            has_failed = metadata is not None and metadata.get("status") == "failed"
            if not (lock.take() if has_failed else lock.take_over()):
                raise RecordingError(
                    f"{folder} is still being recorded; stop that recording and try again."
                )
            return _recover(folder)
    except OSError as error:
        raise _cannot_recover(folder, error) from error


def _recover(folder: Path) -> bool:
    metadata = _read_metadata(folder)  # again: now nobody else writes it any more
    if _is_finished(metadata):
        return False
    if metadata is not None:
        check_metadata(folder / SESSION_FILE, metadata)
    found = _labels(folder / SCORES_FILE)
    if found is not None:
        labels, macro = found
    else:
        labels, macro = (
            ([], []) if metadata is None else (metadata["labels"], macro_labels(metadata))
        )
    tables = {
        SCORES_FILE: scores_header(labels, macro),
        EVENTS_FILE: EVENT_HEADER,
    }
    tables |= {name: row for name, row in OPTIONAL_TABLES.items() if (folder / name).exists()}
    written_s = (folder / SCORES_FILE).stat().st_mtime if metadata is None else 0.0

    is_changed = [_repair_table(folder / name, header) for name, header in tables.items()]
    is_changed += [_repair_video(folder / name) for name in VIDEOS]
    if metadata is not None and metadata.get("status") == "failed" and not any(is_changed):
        return False

    known = _metadata_of_files(folder, labels, macro)
    if metadata is None:
        # A copy of the folder may be younger, but nothing else states when the session began.
        started = datetime.fromtimestamp(written_s - known["duration_s"]).astimezone()
        metadata = _unknown_metadata(labels, macro, started)
    elif metadata.get("status") != "failed":
        metadata["error"] = f"The recording was cut off soon after {metadata.get('updated')}."
    metadata |= {"status": "recovered", "updated": _stamp(datetime.now().astimezone())} | known
    text = json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"
    # A name that is no text is escaped as in the recorder.
    replace_file(folder / SESSION_FILE, text.encode(errors="backslashreplace"))
    for name in RECORDED_FILES:
        (folder / (name + PARTIAL)).unlink(missing_ok=True)
    for clip in (folder / CLIPS_FOLDER).glob("*" + PARTIAL):
        clip.unlink()
    return True


# Metadata


def _read_metadata(folder: Path) -> dict[str, Any] | None:
    """Return the content of session.json; None if it is missing or cannot be read."""
    try:
        metadata = json.loads((folder / SESSION_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return metadata if isinstance(metadata, dict) else None


def _is_finished(metadata: dict[str, Any] | None) -> bool:
    return metadata is not None and metadata.get("status") not in ("recording", "failed")


def _metadata_of_files(folder: Path, labels: Sequence[str], macro: Sequence[str]) -> dict[str, Any]:
    """Return the counts and times of tables and video, with the keys of session.json."""
    clock = FrameClock()
    scores = read_scores(folder, labels, macro)
    for t_s in scores.loc[scores["frame"].diff() != 0, "timestamp"]:
        clock.tick(t_s)
    return {
        "first_frame_s": clock.first_s,
        "frames": clock.count,
        "video_frames": _count_pictures(folder / VIDEO_FILE),
        "duration_s": clock.duration_s,
        "frame_rate": clock.statistics(),
        "events": len(read_events(folder)),
    }


def _unknown_metadata(labels: list[str], macro: list[str], started: datetime) -> dict[str, Any]:
    """Return metadata in place of a session.json that was lost."""
    return {
        "status": "recovered",
        "error": f"The recording was cut off and {SESSION_FILE} was lost: "
        "the model, the device and the source are not known.",
        "started": _stamp(started),
        "updated": "",
        "versions": {},
        "model": {"name": "unknown", "version": "unknown"},
        "device": "unknown",
        "source": {"name": "unknown"},
        "labels": labels,
        "macro": {"name": "unknown", "labels": macro} if macro else None,
        "drops": {},
    }


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


# Tables


def _labels(path: Path) -> tuple[list[str], list[str]] | None:
    """Return the labels in the header of scores.csv, and the labels of macro-expressions.

    None if the file does not begin with this header.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header = next(csv.reader(file), [])
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, csv.Error):
        return None
    begin = len(SCORES_BEGIN)
    if tuple(header[:begin]) != SCORES_BEGIN or header[begin:][-1:] != [SCORES_END]:
        return None
    columns = header[begin:-1]
    macro = list(takewhile(lambda name: name.startswith(MACRO_PREFIX), reversed(columns)))[::-1]
    labels = columns[: len(columns) - len(macro)]
    return labels, [name.removeprefix(MACRO_PREFIX) for name in macro]


def _repair_table(path: Path, header: Sequence[str]) -> bool:
    """Reduce a table to its header and whole rows; return True if that changed it.

    `header`: the header to write if the file has lost its own.
    """
    data = path.read_bytes() if path.exists() else b""
    lines = data.split(b"\n")[:-1]
    own_header = _cells(lines[0]) if lines else []
    if own_header[:1] == [header[0]]:
        header = own_header
    else:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(header)
        lines.insert(0, text.getvalue().encode())
    whole = b"".join(line + b"\n" for line in lines if len(_cells(line)) == len(header))
    if whole == data:
        return False
    if data.startswith(whole):  # cut, which also works on a full disk
        os.truncate(path, len(whole))
        sync_file(path)
    else:
        replace_file(path, whole)
    return True


def _cells(line: bytes) -> list[str]:
    """Split a line into cells; return none if it is no text, as a loss of power may leave NUL bytes
    or data of other files."""
    try:
        text = line.decode()
        return [] if "\0" in text else next(csv.reader([text]), [])
    except (UnicodeDecodeError, csv.Error):
        return []


# Videos


def _repair_video(path: Path) -> bool:
    """Turn a video in fragments into a plain MP4; return True if that changed it.

    A video without a whole fragment is removed; a video that cannot be read is left as it is.
    """
    if not path.exists():
        return False
    boxes, whole_bytes = _whole_boxes(path)
    if "mdat" not in boxes:
        if path.stat().st_size > MUXER_BUFFER_BYTES:
            return False
        path.unlink()
        return True
    if "moov" not in boxes[: boxes.index("mdat")]:
        return False  # a plain MP4 has its index behind the pictures
    unfinished = path.with_name(path.name + PARTIAL)
    unfinished.unlink(missing_ok=True)
    try:
        with av.open(_beginning(path, whole_bytes), "r") as fragments:
            if not fragments.streams.video:
                return False
            pictures = _remux(fragments, unfinished)
        if pictures:
            sync_file(unfinished)
            os.replace(unfinished, path)
        else:
            path.unlink()
        sync_folder(path.parent)
    except av.InvalidDataError:
        return False
    finally:
        unfinished.unlink(missing_ok=True)
    return True


def _remux(fragments: av.container.InputContainer, path: Path) -> int:
    """Write all whole pictures, with their own times, into a new file; return their number."""
    template = fragments.streams.video[0]
    assert template.time_base is not None
    clock = {"video_track_timescale": str(template.time_base.denominator)}
    pictures = last_dts = 0
    with av.open(str(path), "w", format="mp4", options=clock) as output:
        stream = output.add_stream_from_template(template, opaque=True)
        stream.time_base = template.time_base
        for packet in _whole_pictures(fragments):
            assert packet.dts is not None
            # Only the last duration counts, since the others follow from the times: the last
            # picture is shown as long as the picture before it.
            if pictures:
                packet.duration = packet.dts - last_dts
            pictures, last_dts = pictures + 1, packet.dts
            packet.stream = stream
            output.mux(packet)
    return pictures


def _whole_pictures(fragments: av.container.InputContainer) -> Iterator[av.Packet]:
    """Yield the pictures in order; after a broken picture, go on from the next key frame."""
    last_dts = -1
    is_broken = True
    packets = fragments.demux(video=0)
    while True:
        try:
            packet = next(packets, None)
        except av.InvalidDataError:  # in a fragment's own description
            return
        if packet is None:
            return
        if packet.dts is None or packet.dts <= last_dts or not _is_whole(bytes(packet)):
            is_broken = True
        elif packet.is_keyframe or not is_broken:
            is_broken = False
            last_dts = packet.dts
            yield packet


def _is_whole(picture: bytes) -> bool:
    """Return True if a picture is made of H.264 units from end to end.

    No unit may hold three NUL bytes in a row or end in a NUL byte (ITU-T H.264, 7.4.1), so that
    damage by a loss of power is found in the middle of a unit, too.
    """
    begin = 0
    while begin + NAL_LENGTH_BYTES < len(picture):
        length = int.from_bytes(picture[begin : begin + NAL_LENGTH_BYTES], "big")
        begin += NAL_LENGTH_BYTES
        unit = picture[begin : begin + length]
        if not unit or b"\0\0\0" in unit or unit.endswith(b"\0"):
            return False
        begin += length
    return 0 < begin == len(picture)


def _whole_boxes(path: Path) -> tuple[list[str], int]:
    """Return the names of an MP4 file's boxes up to the first incomplete box, and their total
    size in bytes."""
    size = path.stat().st_size
    names: list[str] = []
    begin = 0
    with open(path, "rb") as file:
        while True:
            file.seek(begin)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:  # a large box has its length behind its name
                length = int.from_bytes(head[8:16], "big")
            if length < 8 or begin + length > size:
                return names, begin
            names.append(head[4:8].decode("latin-1"))
            begin += length


def _beginning(path: Path, length: int) -> str:
    """Return FFmpeg's name of the first `length` bytes of a file."""
    return f"subfile,,start,0,end,{length},,:file:{path}"


def _count_pictures(path: Path) -> int:
    """Count the pictures of a video; 0 if it is missing or cannot be read."""
    try:
        with contextlib.closing(av.open(str(path))) as video:
            return sum(stream.frames for stream in video.streams.video)
    except (FileNotFoundError, av.InvalidDataError):
        return 0


def _cannot_recover(folder: Path, error: OSError) -> RecordingError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        needed = max(
            ((folder / name).stat().st_size for name in VIDEOS if (folder / name).exists()),
            default=0,
        )
        return RecordingError(
            f"There is no space left to repair {folder}; free {1 + needed // 2**20} MB and try "
            "again; nothing that was recorded is lost."
        )
    return RecordingError(
        f"{folder} cannot be repaired ({error.strerror}); check that its files can be written and "
        "are open in no other program; nothing that was recorded is lost."
    )


def finish_in_subprocess(
    folder: Path, formats: Sequence[str] = (), *, report: bool = True
) -> str | None:
    """Recover a session that was cut off, and make its report and exports, in a process of its own.

    `formats`: names of exports, see `realtime.exports`. Returns the reason if that failed, else
    None.
    """
    command = [sys.executable, str(COMMAND_LINE), "report"]
    command += ["--format", ",".join(formats)] if formats else []
    command += [] if report else ["--no-report"]
    try:
        # A session of its own: Ctrl-C ends the run, not the report of what it recorded.
        done = subprocess.run(
            [*command, "--", str(folder)],
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
    except OSError as problem:
        return str(problem)
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or ["the process was killed"])[-1]
