"""CAS(ME)³ part A: recordings at 30 frames a second (Li et al., 2022).

`cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx`, sheet `label`, numbers as text, and
`spNO.1/b/color/175.jpg`. It is also published with a folder for each micro-expression,
`Part_A_ME_clip/frame/spNO.1_b_175/175.jpg`. The case of names varies, and some frames are missing.
Depth pictures lie beside the colour pictures and are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from training.datasets.frames import find_clips, scan
from training.datasets.gathering import SheetExpression, collect_annotations
from training.datasets.records import Annotations
from training.datasets.spreadsheets import Row, SkipRow, find_spreadsheet, read_sheet

FPS = 30.0
LABEL_FILE = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
LABEL_FILES = ("partamelabel",)
LABEL_SHEET = "label"
FOLDER = "part_A/spNO.1/b/color"

LABEL_COLUMNS = {
    "Subject": ("subject",),
    "Filename": ("filename",),
    "Onset": ("onset",),
    "Apex": ("apex",),
    "Offset": ("offset",),
    "AU": ("au", "actionunits"),
    "emotion": ("emotion",),
}

_SUBJECT = r"sp_?no\.?0*(\d+)"
_RECORDING = re.compile(rf"{_SUBJECT}/([a-z]\w*)/color", re.IGNORECASE)
_CUT_OUT = re.compile(rf"{_SUBJECT}_([a-z]\w*)_0*(\d+)", re.IGNORECASE)
_OTHER = re.compile(r"depth|part_?[bc]", re.IGNORECASE)
"""Pattern of folders of depth pictures, and of parts that this sheet does not annotate."""


def read(root: Path) -> Annotations:
    """Read the annotations of part A of CAS(ME)³ below `root`."""
    found = scan(root)
    path, notes = find_spreadsheet(found, LABEL_FILES, LABEL_FILE)
    sheet = read_sheet(path, LABEL_COLUMNS, optional=("AU",), sheet=LABEL_SHEET, notes=notes)
    is_long = any(_recording_of(folder.parts) for folder in found.folders)
    name_of = _recording_of if is_long else _cut_out_of
    clips = find_clips(found, name_of, FOLDER, FPS, is_long=is_long)
    return collect_annotations("casme3", sheet, clips, lambda row: _events_of(row, is_long))


def _recording_of(parts: tuple[str, ...]) -> tuple[str, str] | None:
    match = _RECORDING.fullmatch("/".join(parts[-3:]))
    if match is None or _is_other(parts):
        return None
    return f"spNO.{match[1]}", f"spNO.{match[1]}/{match[2].lower()}"


def _cut_out_of(parts: tuple[str, ...]) -> tuple[str, str] | None:
    match = _CUT_OUT.fullmatch(parts[-1]) if parts else None
    if match is None or _is_other(parts):
        return None
    return f"spNO.{match[1]}", f"spNO.{match[1]}/{match[2].lower()}/{int(match[3])}"


def _is_other(parts: tuple[str, ...]) -> bool:
    return any(_OTHER.search(part) for part in parts)


def _events_of(row: Row, is_long: bool) -> Iterator[SheetExpression]:
    name = row.text("Subject")
    subject = re.fullmatch(_SUBJECT, name, re.IGNORECASE)
    if subject is None:
        raise SkipRow(f"Subject is {name!r}, which is no name like spNO.1; correct the cell")
    clip, onset = f"spNO.{subject[1]}/{row.text('Filename').lower()}", row.number("Onset")
    yield SheetExpression(
        clip if is_long else f"{clip}/{onset}",
        onset=onset,
        apex=row.number_or_none("Apex"),
        offset=row.number("Offset"),
        emotion=row.text("emotion"),
        au=row.get("AU"),
    )
