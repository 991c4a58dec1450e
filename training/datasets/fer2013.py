"""FER2013: stills of 48 by 48 pixels, gray (Goodfellow et al., 2013).

The competition's `fer2013.csv` with the columns `emotion` (a number), `pixels` and `Usage`, or
folders of pictures by class (`train/happy/Training_10019449.jpg`). Subjects are unknown. A still
has no duration; the kind of its expression is `micro`, so that it is recognised like any other.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.errors import KilasError, SourceError
from realtime.sources.images import OTHER_PICTURE_SUFFIXES, PICTURE_SUFFIXES, read_picture
from realtime.types import UInt8Array
from training.datasets.classes import EMOTIONS
from training.datasets.frames import in_order
from training.datasets.gathering import as_table, known_emotion, refuse_empty
from training.datasets.records import Annotations, Clip, Skipped, StillFile, StillRow
from training.datasets.spreadsheets import SkipRow, plain

SIZE = 48
"""Side of a picture in pixels."""

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
CSV_COLUMNS = ("emotion", "pixels", "Usage")

TRAINING = "Training"
MIXED_PART = "Test"
USAGES = {
    **{"training": TRAINING, "train": TRAINING, "test": MIXED_PART},
    **{"publictest": "PublicTest", "privatetest": "PrivateTest"},
}
"""Names of the dataset's own parts, by the names in files and folders, `plain`.

Folders called `test` mix the last two parts.
"""

_LEVELS = {str(level): level for level in range(256)}
_STILL_FPS = 1.0

_NO_FILE = "there is no file behind it; put the file in its place"
_LINK = "it is a link to a folder, which is not followed; put the folder in its place"


def read(root: Path) -> Annotations:
    """Read the annotations as `find_stills` does, and add the column `is_copy`.

    It is true for a still that is in another part than Training and has exactly the pixels of a
    still of Training; a still that cannot be read is no copy.
    """
    found = find_stills(root)
    table = found.table
    digests = table["frames"].map(_digest_of)
    is_trained = table["usage"] == TRAINING
    is_copy = ~is_trained & digests.notna() & digests.isin(digests[is_trained])
    note = f"Stills of other parts that are exact copies of stills of {TRAINING}: {is_copy.sum()}."
    return replace(
        found,
        table=table.assign(is_copy=is_copy),
        notes=(*found.notes, *([note] if is_copy.any() else [])),
    )


def find_stills(root: Path) -> Annotations:
    """Find the stills of fer2013.csv, or of folders of pictures, and their annotations.

    `root`: the CSV file, a folder that contains it, or a folder of folders of pictures, which are
    not opened. Raises KilasError where `root` is none of these, or no still is left.
    """
    if root.is_file():
        return _read_csv(root)
    if not root.is_dir():
        raise KilasError(
            f"There is neither a file nor a folder {root}; give {CSV_NAMES[0]}, or the folder of "
            "the dataset."
        )
    paths, skipped = _below(root)
    called_so = sorted(path for path in paths if path.name.lower() in CSV_NAMES)
    tables = [path for path in called_so if os.path.isfile(path)]
    skipped += [
        Skipped(str(path), _NO_FILE)
        for path in called_so
        if path not in tables and not os.path.isdir(path)  # a folder is looked through
    ]
    if not tables:
        return _read_folders(root, paths, skipped)
    others = ", ".join(map(str, tables[1:]))
    notes = [f"Several tables fit; {tables[0]} was read, not {others}."] if others else []
    return _read_csv(tables[0], notes, skipped)


def digest(picture: UInt8Array) -> bytes:
    """Return a hash of a gray picture, uint8 [h, w], that only exact copies share."""
    whole = hashlib.blake2b(repr(picture.shape).encode(), digest_size=16)
    whole.update(picture.tobytes())
    return whole.digest()


def read_still(still: StillRow | StillFile) -> UInt8Array:
    """Read a still, gray, uint8 [h, w]. Raises SourceError when it cannot be read."""
    if isinstance(still, StillFile):
        image_bgr = read_picture(still.path)
        if image_bgr is None:
            raise SourceError(f"{still.path} cannot be read as a picture; copy it again.")
        # OpenCV's readers make gray of colours each in its own way.
        return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY), np.uint8)
    try:
        with still.path.open("rb") as file:
            file.seek(still.offset)
            texts = _cells(file.readline())
    except OSError as error:
        raise SourceError(f"{still.path} cannot be read ({error.strerror}).") from error
    pixels = next((found for found in map(_pixels, texts) if found is not None), None)
    if pixels is None:
        raise SourceError(f"{still.path} has changed while it was used; prepare it again.")
    return pixels


def _digest_of(still: StillRow | StillFile) -> bytes | None:
    try:
        return digest(read_still(still))
    except SourceError:  # raised again for whoever uses the picture
        return None


def _below(root: Path) -> tuple[list[Path], list[Skipped]]:
    """List all files and folders below a folder that are not hidden, and each folder not read."""
    paths: list[Path] = []
    skipped: list[Skipped] = []

    def skip(error: OSError) -> None:
        why = f"the folder cannot be read ({error.strerror}); ask for permission"
        skipped.append(Skipped(str(error.filename), why))

    for folder, folders, files in os.walk(root, onerror=skip):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        links = (path for path in map(Path(folder).joinpath, folders) if path.is_symlink())
        skipped += [Skipped(str(path), _LINK) for path in links]
        paths += [Path(folder, name) for name in (*folders, *files) if name[0] != "."]
    return paths, skipped


def _read_csv(
    path: Path, notes: Iterable[str] = (), skipped_before: Iterable[Skipped] = ()
) -> Annotations:
    rows: list[dict[str, Any]] = []
    skipped = [*skipped_before]
    lines = _lines(path)
    _, first = next(lines, (0, b""))
    header = [plain(text) for text in _cells(first)]
    lacking = [name for name in CSV_COLUMNS if plain(name) not in header]
    if lacking:
        raise KilasError(
            f"{path} has no column {' and no '.join(lacking)}; its first line must be "
            f"{','.join(CSV_COLUMNS)}."
        )
    places = [header.index(plain(name)) for name in CSV_COLUMNS]
    for number, (offset, line) in enumerate(lines, 2):
        if line.strip():
            try:
                emotion, usage = _checked_row(_cells(line), places)
                rows.append(_row(f"{number:05d}", emotion, usage, StillRow(path, offset)))
            except SkipRow as skip:
                skipped.append(Skipped(f"{path.name}, row {number}", str(skip)))
    return _annotations(rows, skipped, notes, str(path))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file, each with the offset of its first byte.

    Raises KilasError when the file cannot be read.
    """
    offset = 0
    try:
        with path.open("rb") as file:
            for line in file:
                yield offset, line
                offset += len(line)
    except OSError as error:
        raise KilasError(
            f"{path} cannot be read ({error.strerror}); ask for permission, or copy it again."
        ) from error


def _checked_row(texts: list[str], places: list[int]) -> tuple[str, str]:
    """Return emotion and usage of a line. Raises SkipRow when they or the pixels are invalid."""
    if len(texts) <= max(places):
        raise SkipRow(f"there are {len(texts)} cells; the line is cut off, get the file again")
    emotion, pixels, usage = (texts[place] for place in places)
    if _pixels(pixels) is None:
        raise SkipRow(
            f"pixels are not {SIZE * SIZE} numbers from 0 to 255; the line is damaged, get the "
            "file again"
        )
    if plain(usage) not in USAGES:
        raise SkipRow(f"Usage is {usage!r}, which is no part of FER2013; correct the cell")
    return _emotion(emotion), USAGES[plain(usage)]


def _read_folders(root: Path, paths: list[Path], skipped_before: Iterable[Skipped]) -> Annotations:
    """Return the annotations of folders of pictures. `paths`: all that lies below `root`."""
    skipped = [*skipped_before]
    pictures: dict[Path, list[Path]] = {}
    for path in paths:
        if path.suffix.lower() in OTHER_PICTURE_SUFFIXES.union(PICTURE_SUFFIXES):
            pictures.setdefault(path.parent, []).append(path)
    if not pictures and not skipped:
        raise KilasError(
            f"There is neither a {CSV_NAMES[0]} nor a picture in {root}; give the folder that "
            "holds the table, or a folder of pictures for each emotion."
        )
    rows: list[dict[str, Any]] = []
    for folder in sorted(pictures, key=lambda path: in_order(str(path))):
        try:
            emotion = _emotion(folder.name)
        except SkipRow as skip:
            if count := sum(not os.path.isdir(path) for path in pictures[folder]):
                skipped.append(Skipped(f"{folder}, {count} pictures", str(skip)))
            continue
        parts = folder.relative_to(root).parts[:-1]
        usage = next((USAGES[plain(part)] for part in parts if plain(part) in USAGES), "")
        for path in sorted(pictures[folder], key=lambda file: in_order(file.name)):
            clip = path.relative_to(root).as_posix()
            if why := _unusable(path):
                skipped.append(Skipped(clip, why))
            else:
                rows.append(_row(clip, emotion, usage, StillFile(path)))
    return _annotations(rows, skipped, (), str(root))


def _unusable(path: Path) -> str:
    """Return the reason why a path that is named like a picture is not read; empty if it is."""
    if os.path.isdir(path):
        return "it is a folder, called like a picture; put the picture in its place"
    if not os.path.isfile(path):
        return _NO_FILE
    if path.suffix.lower() in OTHER_PICTURE_SUFFIXES:
        return f"{path.suffix} pictures are not read; save it as PNG"
    return ""


def _cells(line: bytes) -> list[str]:
    """Split a line into cells; no cell of this table holds a comma, so quotes mean nothing."""
    text = line.decode("utf-8-sig", errors="replace")
    return [cell.strip().strip('"') for cell in text.split(",")]


def _pixels(text: str) -> UInt8Array | None:
    """Return a still, uint8 [48, 48], or None if the text does not hold its values."""
    try:
        levels = bytes([_LEVELS[value] for value in text.split(" ")])
    except KeyError:
        return None
    if len(levels) != SIZE * SIZE:
        return None
    return np.frombuffer(levels, np.uint8).reshape(SIZE, SIZE)


def _emotion(text: str) -> str:
    """Return the emotion of a number or a name. Raises SkipRow when there is no such emotion."""
    known = EMOTIONS["fer2013"]
    if text.isdecimal() and int(text) < len(known):
        return known[int(text)]
    return known_emotion(text, "fer2013")


def _row(clip: str, emotion: str, usage: str, still: StillRow | StillFile) -> dict[str, Any]:
    return {
        **{"dataset": "fer2013", "subject": "", "clip": clip, "kind": "micro"},
        **dict.fromkeys(("onset", "apex", "offset"), 0),
        **dict.fromkeys(("onset_s", "apex_s", "offset_s"), 0.0),
        **{"apex_estimated": False, "emotion": emotion, "au": "", "fps": _STILL_FPS},
        **{"frames": still, "usage": usage},
    }


def _annotations(
    rows: list[dict[str, Any]], skipped: list[Skipped], notes: Iterable[str], file: str
) -> Annotations:
    clips = (Clip("", row["clip"], _STILL_FPS, row["frames"], False) for row in rows)
    found = Annotations("fer2013", tuple(clips), as_table(rows), tuple(skipped), tuple(notes))
    return refuse_empty(found, file)
