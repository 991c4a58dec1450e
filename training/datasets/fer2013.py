"""FER2013: stills of 48 by 48 pixels, gray (Goodfellow et al., 2013).

The competition's `fer2013.csv` with the columns `emotion` (a number), `pixels` and `Usage`, or
folders of pictures by class (`train/happy/Training_10019449.jpg`). Nobody is named. A still has
no duration; the kind of its expression is `micro`, so that it is recognised like any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.errors import KilasError, SourceError
from realtime.pictures import PICTURE_SUFFIXES, read_picture
from realtime.types import UInt8Array
from training.datasets.annotations import as_table, known_emotion, refuse_empty
from training.datasets.classes import EMOTIONS
from training.datasets.frames import in_order
from training.datasets.records import Annotations, Clip, Skipped, StillFile, StillRow
from training.datasets.sheets import SkipRow, plain

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
"""The dataset's own parts, as files and folders call them, `plain`; folders called `test` mix the
last two."""

_VALUES = frozenset(map(str, range(256)))
_STILL_FPS = 1.0


def read(root: Path) -> Annotations:
    if root.is_file():
        return _read_csv(root, ())
    if not root.is_dir():
        raise KilasError(f"There is no folder {root}; give the folder of the dataset.")
    tables = sorted(path for path in root.rglob("*") if path.name.lower() in CSV_NAMES)
    if not tables:
        return _read_folders(root)
    others = ", ".join(map(str, tables[1:]))
    return _read_csv(
        tables[0], (f"Several tables fit; {tables[0]} was read, not {others}.",) if others else ()
    )


def read_stills(still: StillRow | StillFile) -> tuple[UInt8Array]:
    """The one picture of a still, uint8 [h, w]. Raises SourceError when it cannot be read."""
    if isinstance(still, StillFile):
        picture = read_picture(still.path, cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise SourceError(f"{still.path} cannot be read as a picture; copy it again.")
        return (picture,)
    try:
        with still.path.open("rb") as file:
            file.seek(still.offset)
            texts = _cells(file.readline())
    except OSError as error:
        raise SourceError(f"{still.path} cannot be read ({error.strerror}).") from error
    pixels = next(filter(None, map(_pixels, texts)), None)
    if pixels is None:
        raise SourceError(f"{still.path} has changed while it was used; prepare it again.")
    return (np.array(pixels, np.uint8).reshape(SIZE, SIZE),)


def _read_csv(path: Path, notes: Iterable[str]) -> Annotations:
    rows: list[dict[str, Any]] = []
    skipped: list[Skipped] = []
    with path.open("rb") as file:
        header = [plain(text) for text in _cells(file.readline())]
        lacking = [name for name in CSV_COLUMNS if plain(name) not in header]
        if lacking:
            raise KilasError(
                f"{path} has no column {' and no '.join(lacking)}; its first line must be "
                f"{','.join(CSV_COLUMNS)}."
            )
        places = [header.index(plain(name)) for name in CSV_COLUMNS]
        offset = file.tell()
        for number, line in enumerate(file, 2):
            if line.strip():
                try:
                    emotion, pixels, usage = _checked_row(_cells(line), places)
                    still = StillRow(path, offset)
                    rows.append(_row(f"{number:05d}", emotion, usage, still, pixels.encode()))
                except SkipRow as skip:
                    skipped.append(Skipped(f"{path.name}, row {number}", str(skip)))
            offset += len(line)
    return _annotations(rows, skipped, notes, str(path))


def _checked_row(texts: list[str], places: list[int]) -> tuple[str, str, str]:
    """Emotion, pixels and usage of a line. Raises SkipRow when one of them cannot be."""
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
    return _emotion(emotion), pixels, USAGES[plain(usage)]


def _read_folders(root: Path) -> Annotations:
    pictures: dict[Path, list[Path]] = {}
    for path in root.rglob("*"):
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith("."):
            pictures.setdefault(path.parent, []).append(path)
    if not pictures:
        raise KilasError(
            f"There is neither a {CSV_NAMES[0]} nor a picture in {root}; give the folder that "
            "holds the table, or a folder of pictures for each emotion."
        )
    rows: list[dict[str, Any]] = []
    skipped: list[Skipped] = []
    for folder in sorted(pictures, key=lambda one: in_order(str(one))):
        try:
            emotion = _emotion(folder.name)
        except SkipRow as skip:
            skipped.append(Skipped(f"{folder}, {len(pictures[folder])} pictures", str(skip)))
            continue
        parts = folder.relative_to(root).parts[:-1]
        usage = next((USAGES[plain(part)] for part in parts if plain(part) in USAGES), "")
        for path in sorted(pictures[folder], key=lambda one: in_order(one.name)):
            clip = path.relative_to(root).as_posix()
            rows.append(_row(clip, emotion, usage, StillFile(path), path.read_bytes()))
    return _annotations(rows, skipped, (), str(root))


def _cells(line: bytes) -> list[str]:
    """No cell of this table holds a comma, so quotes mean nothing."""
    text = line.decode("utf-8-sig", errors="replace")
    return [cell.strip().strip('"') for cell in text.split(",")]


def _pixels(text: str) -> list[str] | None:
    """The values of a still's pixels, or None if the text does not hold them."""
    values = text.split(" ")
    return values if len(values) == SIZE * SIZE and _VALUES.issuperset(values) else None


def _emotion(text: str) -> str:
    """By number or name. Raises SkipRow when there is no such emotion."""
    known = EMOTIONS["fer2013"]
    if text.isdecimal() and int(text) < len(known):
        return known[int(text)]
    return known_emotion(text, "fer2013")


def _row(
    clip: str, emotion: str, usage: str, still: StillRow | StillFile, picture: bytes
) -> dict[str, Any]:
    return {
        **{"dataset": "fer2013", "subject": "", "clip": clip, "kind": "micro"},
        **dict.fromkeys(("onset", "apex", "offset"), 0),
        **dict.fromkeys(("onset_s", "apex_s", "offset_s"), 0.0),
        **{"apex_estimated": False, "emotion": emotion, "au": "", "fps": _STILL_FPS},
        **{"frames": still, "usage": usage},
        "digest": hashlib.blake2b(picture, digest_size=16).digest(),
    }


def _annotations(
    rows: list[dict[str, Any]], skipped: list[Skipped], notes: Iterable[str], file: str
) -> Annotations:
    trained = {row["digest"] for row in rows if row["usage"] == TRAINING}
    for row in rows:
        row["is_copy"] = (row.pop("digest") in trained) and row["usage"] != TRAINING
    copies = sum(row["is_copy"] for row in rows)
    told = (f"Stills of other parts that are exact copies of stills of {TRAINING}: {copies}.",)
    clips = (Clip("", row["clip"], _STILL_FPS, row["frames"], False) for row in rows)
    found = Annotations(
        "fer2013",
        tuple(clips),
        as_table(rows),
        tuple(skipped),
        (*notes, *(told if copies else ())),
    )
    return refuse_empty(found, file)
