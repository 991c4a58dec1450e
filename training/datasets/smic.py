"""SMIC-HS: clips at 100 frames a second, with up to three expressions each (Li et al., 2013).

`SMIC-HS-E_annotation.xlsx` and `SMIC-HS-E/s03/s3_sur_01/image308866.jpg`, whose numbers are those
of a whole session. The cameras VIS and NIR saw the same people and have clips of the same names;
they are no part of this dataset. No apex is annotated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from realtime.errors import KilasError
from training.datasets.frames import find_clips, scan
from training.datasets.gathering import SheetExpression, collect_annotations
from training.datasets.records import Annotations
from training.datasets.spreadsheets import (
    Row,
    Sheet,
    SkipRow,
    find_spreadsheet,
    number_or_none,
    read_sheet,
    whole_number,
)

FPS = 100.0
LABEL_FILE = "SMIC-HS-E_annotation.xlsx"
LABEL_FILES = ("smichseannotation", "smichsannotation")
FOLDER = "SMIC-HS-E/s03/s3_sur_01"

LABEL_COLUMNS = {
    "Subject": ("subject",),
    "Filename": ("filename",),
    "OnsetF": ("onsetf", "onset", "onsetframe"),
    "OffsetF": ("offsetf", "offset", "offsetframe"),
    "Emotion": ("emotion", "estimatedemotion"),
}

_CLIP = re.compile(r"s0*(\d+)_([a-z]+)_0*(\d+)", re.IGNORECASE)
_OTHER_CAMERA = re.compile(r"(^|[^a-z])(vis|nir)([^a-z]|$)", re.IGNORECASE)


def read(root: Path) -> Annotations:
    """Read the annotations of SMIC-HS below `root`."""
    found = scan(root)
    path, notes = find_spreadsheet(found, LABEL_FILES, LABEL_FILE)
    sheet = read_sheet(path, LABEL_COLUMNS, notes=notes)
    pairs = _onsets_and_offsets(sheet)
    clips = find_clips(found, _clip_of, FOLDER, FPS)
    return collect_annotations("smic", sheet, clips, lambda row: _events_of(row, sheet, pairs))


def _onsets_and_offsets(sheet: Sheet) -> list[tuple[int, int]]:
    """Return the columns of the first expression of a clip, then of the second and third.

    Raises KilasError when there are not as many offsets as onsets.
    """
    onsets = [at for at, name in enumerate(sheet.header) if "onset" in name]
    offsets = [at for at, name in enumerate(sheet.header) if "offset" in name]
    if len(onsets) != len(offsets):
        raise KilasError(
            f"{sheet.file} has {len(onsets)} columns of onsets and {len(offsets)} of offsets; "
            "each expression of a clip needs both."
        )
    return list(zip(onsets, offsets, strict=True))


def _clip_of(parts: tuple[str, ...]) -> tuple[str, str] | None:
    if not parts or any(map(_OTHER_CAMERA.search, parts)):
        return None
    match = _CLIP.fullmatch(parts[-1])
    return _named(match) if match else None


def _named(match: re.Match[str]) -> tuple[str, str]:
    subject, emotion, number = int(match[1]), match[2].lower(), int(match[3])
    return f"s{subject:02d}", f"s{subject}_{emotion}_{number:02d}"


def _events_of(row: Row, sheet: Sheet, pairs: list[tuple[int, int]]) -> Iterator[SheetExpression]:
    name = row.text("Filename")
    match = _CLIP.fullmatch(name)
    if match is None:
        raise SkipRow(f"Filename is {name!r}, which is no clip like s3_sur_01; correct the cell")
    subject, clip = _named(match)
    if row.number("Subject") != int(subject[1:]):
        raise SkipRow(f"Subject is {row.get('Subject')}, but {name} is another's; correct the cell")
    for number, (onset_at, offset_at) in enumerate(pairs, 1):
        onset = number_or_none(row.texts[onset_at], sheet.header[onset_at])
        if number > 1 and onset is None:
            continue
        yield SheetExpression(
            clip,
            onset=whole_number(row.texts[onset_at], sheet.header[onset_at]),
            apex=None,
            offset=whole_number(row.texts[offset_at], sheet.header[offset_at]),
            emotion=row.text("Emotion"),
            au="",
            number=number,
        )
