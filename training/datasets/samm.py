"""SAMM: short clips at 200 frames a second, gray (Davison et al., 2018).

`SAMM_Micro_FACS_Codes_v2.xlsx`, whose header is on row 14, and `006/006_1_2/006_05562.jpg`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from training.datasets.frames import find_clips, scan
from training.datasets.gathering import SheetExpression, collect_annotations
from training.datasets.records import Annotations
from training.datasets.spreadsheets import Row, SkipRow, find_spreadsheet, read_sheet

FPS = 200.0
LABEL_FILE = "SAMM_Micro_FACS_Codes_v2.xlsx"
LABEL_FILES = ("microfacscodes",)
FOLDER = "006/006_1_2"

LABEL_COLUMNS = {
    "Subject": ("subject",),
    "Filename": ("filename",),
    "Onset Frame": ("onsetframe", "onset"),
    "Apex Frame": ("apexframe", "apex"),
    "Offset Frame": ("offsetframe", "offset"),
    "Action Units": ("actionunits", "au"),
    "Estimated Emotion": ("estimatedemotion", "emotion"),
}

_CLIP = re.compile(r"0*(\d+)_(\d+)_(\d+)")


def read(root: Path) -> Annotations:
    """Read the annotations of SAMM below `root`."""
    found = scan(root)
    path, notes = find_spreadsheet(found, LABEL_FILES, LABEL_FILE)
    sheet = read_sheet(path, LABEL_COLUMNS, optional=("Action Units",), notes=notes)
    return collect_annotations("samm", sheet, find_clips(found, _clip_of, FOLDER, FPS), _events_of)


def expression_of(row: Row) -> tuple[int, int, int]:
    """Return subject, inducement and number from the name of an expression.

    Raises SkipRow when the name has another form, or the column Subject another subject.
    """
    name = row.text("Filename")
    match = _CLIP.fullmatch(name)
    if match is None:
        raise SkipRow(f"Filename is {name!r}, which is no name like 006_1_2; correct the cell")
    subject, inducement, number = map(int, match.groups())
    if row.number("Subject") != subject:
        raise SkipRow(f"Subject is {row.get('Subject')}, but {name} is another's; correct the cell")
    return subject, inducement, number


def _clip_of(parts: tuple[str, ...]) -> tuple[str, str] | None:
    match = _CLIP.fullmatch(parts[-1]) if parts else None
    return _named(*map(int, match.groups())) if match else None


def _named(subject: int, inducement: int, number: int) -> tuple[str, str]:
    return f"{subject:03d}", f"{subject:03d}_{inducement}_{number}"


def _events_of(row: Row) -> Iterator[SheetExpression]:
    _, clip = _named(*expression_of(row))
    yield SheetExpression(
        clip,
        onset=row.number("Onset Frame"),
        apex=row.number_or_none("Apex Frame"),
        offset=row.number("Offset Frame"),
        emotion=row.text("Estimated Emotion"),
        au=row.get("Action Units"),
    )
