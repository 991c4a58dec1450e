"""SAMM Long Videos: 147 recordings at 200 frames a second, gray (Yap et al., 2020).

`SAMM_LongVideos_V1_Release.xlsx`, whose header is about ten rows down, and
`SAMM_longvideos/006_1/006_1_0001.jpg`. An onset of 0 means that the expression was there when the
video began, so a macro-expression is cut to the first frame; an offset of 0 that its end was not
annotated. There are no emotions: those of the micro-expressions stand in SAMM's own spreadsheet,
which is looked for below and beside the root.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from training.datasets import samm
from training.datasets.frames import SPREADSHEET_SUFFIXES, Found, find_clips, scan
from training.datasets.gathering import SheetExpression, collect_annotations, known_emotion
from training.datasets.records import Annotations
from training.datasets.spreadsheets import Row, SkipRow, find_spreadsheet, plain, read_sheet

FPS = 200.0
FIRST_FRAME = 1
"""Number of the first frame of every recording."""

LABEL_FILE = "SAMM_LongVideos_V1_Release.xlsx"
LABEL_FILES = ("sammlongvideos", "longvideos")
FOLDER = "SAMM_longvideos/006_1"

LABEL_COLUMNS = {
    "Subject": ("subject",),
    "Filename": ("filename",),
    "Onset": ("onset", "onsetframe"),
    "Apex": ("apex", "apexframe"),
    "Offset": ("offset", "offsetframe"),
    "Type": ("type",),
    "Action Units": ("actionunits", "au"),
}

_VIDEO = re.compile(r"0*(\d+)_(\d+)")
_KINDS = ("micro", "macro")

Emotions = Mapping[tuple[int, int, int], str]
"""Emotions of micro-expressions, by subject, inducement and number."""


def read(root: Path) -> Annotations:
    """Read the annotations of SAMM-LV below `root`, with the emotions of SAMM's own spreadsheet."""
    found = scan(root)
    path, notes = find_spreadsheet(found, LABEL_FILES, LABEL_FILE)
    sheet = read_sheet(path, LABEL_COLUMNS, optional=("Action Units",), notes=notes)
    clips = find_clips(found, _clip_of, FOLDER, FPS, is_long=True)
    emotions, remarks = _read_emotions(found)
    read = collect_annotations(
        "samm-lv", sheet, clips, lambda row: _events_of(row, emotions), remarks
    )
    without = int((read.table["emotion"].isna() & (read.table["kind"] == "micro")).sum())
    if not emotions or not without:
        return read
    note = (
        f"Micro-expressions that have no emotion, because no row of {samm.LABEL_FILE} names them: "
        f"{without}."
    )
    return dataclasses.replace(read, notes=(*read.notes, note))


def _clip_of(parts: tuple[str, ...]) -> tuple[str, str] | None:
    match = _VIDEO.fullmatch(parts[-1]) if parts else None
    return _named(*map(int, match.groups())) if match else None


def _named(subject: int, inducement: int) -> tuple[str, str]:
    return f"{subject:03d}", f"{subject:03d}_{inducement}"


def _events_of(row: Row, emotions: Emotions) -> Iterator[SheetExpression]:
    subject, inducement, number = samm.expression_of(row)
    written = row.text("Type")
    kind = next((kind for kind in _KINDS if written.lower().startswith(kind)), None)
    if kind is None:
        raise SkipRow(f"Type is {written!r}, which is neither Macro nor Micro; correct the cell")
    onset, offset = row.number("Onset"), row.number("Offset")
    apex = row.number_or_none("Apex")
    if apex is not None and apex < 1:  # the sheet's own sign for an apex that is not annotated
        apex = None
    if kind == "macro":
        onset = max(onset, FIRST_FRAME)
    if offset == 0:
        if apex is None:
            raise SkipRow("there is neither an apex nor an offset; fill one in")
        offset = apex
    yield SheetExpression(
        _named(subject, inducement)[1],
        onset=onset,
        apex=apex,
        offset=offset,
        emotion=emotions.get((subject, inducement, number)) if kind == "micro" else None,
        au=row.get("Action Units"),
        kind=kind,
    )


def _read_emotions(found: Found) -> tuple[Emotions, tuple[str, ...]]:
    """Read the emotions of micro-expressions from SAMM's own spreadsheet, with remarks on it."""
    below = [path for path in found.spreadsheets if _is_of_samm(path)]
    there = below or [path for path in _beside(found.root) if _is_of_samm(path)]
    if not there:
        return {}, (
            f"There is no {samm.LABEL_FILE} below or beside {found.root}; without it no "
            "expression has an emotion.",
        )
    path, remarks = find_spreadsheet(
        Found(found.root, tuple(there), ()), samm.LABEL_FILES, samm.LABEL_FILE
    )
    sheet = read_sheet(path, samm.LABEL_COLUMNS, optional=("Action Units",))
    emotions: dict[tuple[int, int, int], str] = {}
    notes = [*remarks, *sheet.notes]
    for row in sheet.rows:
        try:
            emotion = known_emotion(row.text("Estimated Emotion"), "samm-lv")
            emotions[samm.expression_of(row)] = emotion
        except SkipRow as skip:
            notes.append(f"{row.where}: {skip}.")
    return emotions, tuple(notes)


def _is_of_samm(path: Path) -> bool:
    return any(name in plain(path.stem) for name in samm.LABEL_FILES)


def _beside(root: Path) -> Iterator[Path]:
    """Yield the spreadsheets in the folder that the root is in, and in SAMM's own folders in it."""
    parent = root.resolve().parent
    own = (path for path in parent.iterdir() if path.name.lower().startswith("samm"))
    for folder in (parent, *(path for path in sorted(own) if path.is_dir())):
        yield from (
            file
            for file in sorted(folder.iterdir())
            if file.suffix.lower() in SPREADSHEET_SUFFIXES and not file.name.startswith("~$")
        )
