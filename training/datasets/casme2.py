"""CASME II: short clips at 200 frames a second (Yan et al., 2014).

`CASME2-coding-20140508.xlsx` and `CASME2_RAW_selected/sub01/EP02_01f/img46.jpg`; cropped frames
are `Cropped/sub01/EP02_01f/reg_img46.jpg`. A clip's name is unique only within its subject.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from training.datasets.frames import find_clips, scan
from training.datasets.gathering import SheetExpression, collect_annotations
from training.datasets.records import Annotations
from training.datasets.spreadsheets import Row, find_spreadsheet, read_sheet

FPS = 200.0
LABEL_FILE = "CASME2-coding-20140508.xlsx"
LABEL_FILES = ("casme2coding", "casme2label")
FOLDER = "CASME2_RAW_selected/sub01/EP02_01f"

LABEL_COLUMNS = {
    "Subject": ("subject",),
    "Filename": ("filename",),
    "OnsetFrame": ("onsetframe", "onset"),
    "ApexFrame": ("apexframe", "apex"),
    "OffsetFrame": ("offsetframe", "offset"),
    "Action Units": ("actionunits", "actionunit", "au"),
    "Estimated Emotion": ("estimatedemotion", "emotion"),
}


def read(root: Path) -> Annotations:
    """Read the annotations of CASME II below `root`."""
    found = scan(root)
    path, notes = find_spreadsheet(found, LABEL_FILES, LABEL_FILE)
    sheet = read_sheet(path, LABEL_COLUMNS, optional=("Action Units",), notes=notes)
    return collect_annotations(
        "casme2", sheet, find_clips(found, _clip_of, FOLDER, FPS), _events_of
    )


def _clip_of(parts: tuple[str, ...]) -> tuple[str, str] | None:
    if len(parts) < 2:
        return None
    match = re.fullmatch(r"sub0*(\d+)", parts[-2], re.IGNORECASE)
    return _named(int(match[1]), parts[-1]) if match else None


def _named(subject: int, clip: str) -> tuple[str, str]:
    return f"sub{subject:02d}", f"sub{subject:02d}/{clip}"


def _events_of(row: Row) -> Iterator[SheetExpression]:
    _, clip = _named(row.number("Subject"), row.text("Filename"))
    yield SheetExpression(
        clip,
        onset=row.number("OnsetFrame"),
        apex=row.number_or_none("ApexFrame"),
        offset=row.number("OffsetFrame"),
        emotion=row.text("Estimated Emotion"),
        au=row.get("Action Units"),
    )
