"""CAS(ME)²: long recordings at 30 frames a second (Qu et al., 2018).

`CAS(ME)^2code_final.xlsx` without a header: sheet 1 has the expressions, with a subject's number
and a video's name (`1`, `anger1_2`: the second expression in the video anger1), sheet 2 has the
folder of each subject's number (`s15`), sheet 3 the code of each video's name (`0401`). Frames:
`rawpic/s15/15_0401girlcrashing/img001.jpg`. An offset of 0 means that the end was not annotated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from realtime.errors import KilasError
from training.datasets.classes import ELICITED
from training.datasets.frames import Found, find_clips, scan
from training.datasets.gathering import SheetExpression, collect_annotations
from training.datasets.records import Annotations
from training.datasets.spreadsheets import (
    Row,
    Sheet,
    SkipRow,
    find_spreadsheet,
    numbered_rows,
    read_workbook,
)

FPS = 30.0
LABEL_FILE = "CAS(ME)^2code_final.xlsx"
LABEL_FILES = ("casme2codefinal", "codefinal")
FOLDER = "rawpic/s15/15_0101disgustingteeth"

LABEL_COLUMNS = (
    *("subject", "video", "onset", "apex", "offset", "au", "emotion", "type", "self report"),
)

_SUBJECT = re.compile(r"s0*(\d+)", re.IGNORECASE)
_VIDEO = re.compile(r"0*(\d+)_(\d{4}).*")
_NAME = re.compile(r"([a-z]+)\d+", re.IGNORECASE)
_KINDS = {"microexpression": "micro", "macroexpression": "macro"}


def read(root: Path) -> Annotations:
    """Read the annotations of CAS(ME)² below `root`."""
    found = scan(root)
    path, notes = find_spreadsheet(found, LABEL_FILES, LABEL_FILE)
    sheets = list(read_workbook(path).values())
    if len(sheets) < 3 or not sheets[0] or len(sheets[0][0]) < len(LABEL_COLUMNS) - 1:
        raise KilasError(
            f"{path} must have three sheets: expressions ({', '.join(LABEL_COLUMNS)}, without a "
            "header), subjects and videos; get the published file."
        )
    columns = {name: at for at, name in enumerate(LABEL_COLUMNS) if at < len(sheets[0][0])}
    sheet = Sheet(path.name, (), tuple(numbered_rows(path.name, sheets[0], 0, columns)), notes)
    folders, codes = _read_subjects(path, sheets[1]), _read_videos(path, sheets[2])
    clips = find_clips(found, _clip_of, FOLDER, FPS, is_long=True)
    return collect_annotations(
        "casme-squared",
        sheet,
        clips,
        lambda row: _events_of(row, folders, codes),
        _misplaced(found),
    )


def _read_subjects(path: Path, rows: Sequence[Sequence[str]]) -> dict[int, str]:
    """Return the folder of each subject's number, from rows of `15, s15, 1`."""
    folders: dict[int, str] = {}
    for texts in rows:
        subject = next((match for text in texts if (match := _SUBJECT.fullmatch(text))), None)
        numbers = [int(text) for text in texts if text.isdecimal()]
        if subject and numbers:
            folders[numbers[-1]] = f"s{subject[1]}"
    if not folders:
        raise KilasError(
            f"The second sheet of {path} names no subject's folder like s15; get the published "
            "file."
        )
    return folders


def _read_videos(path: Path, rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return the code of each video's name, from rows of `0101, disgust1`.

    The code is text, or a number that has lost its zero.
    """
    codes: dict[str, str] = {}
    for texts in rows:
        code = next((text for text in texts if text.isdecimal()), None)
        name = next((text for text in texts if _NAME.fullmatch(text)), None)
        if code and name:
            codes[name.lower()] = code.zfill(4)
    if not codes:
        raise KilasError(
            f"The third sheet of {path} gives no video a code, as 0101 to disgust1; get the "
            "published file."
        )
    return codes


def _parts_of(parts: tuple[str, ...]) -> tuple[re.Match[str], re.Match[str]] | None:
    if len(parts) < 2:
        return None
    subject, video = _SUBJECT.fullmatch(parts[-2]), _VIDEO.fullmatch(parts[-1])
    return (subject, video) if subject and video else None


def _clip_of(parts: tuple[str, ...]) -> tuple[str, str] | None:
    found = _parts_of(parts)
    if found is None or found[0][1] != found[1][1]:
        return None
    subject, video = found
    return f"s{subject[1]}", f"s{subject[1]}/{video[2]}"


def _misplaced(found: Found) -> Iterator[str]:
    """Yield a note on each folder that lies in a subject's folder and is named after another."""
    for folder in found.folders:
        match = _parts_of(folder.parts)
        if match and match[0][1] != match[1][1]:
            yield (
                f"{folder.path} is named after subject {match[1][1]} but lies in {match[0][0]}, so "
                "it is left out; rename or move it if you know whose it is."
            )


def _events_of(
    row: Row, folders: Mapping[int, str], codes: Mapping[str, str]
) -> Iterator[SheetExpression]:
    number, expression = row.number("subject"), row.text("video")
    video = expression.partition("_")[0].lower()
    if number not in folders:
        raise SkipRow(f"the subject {number} is not on the second sheet; add it there")
    if video not in codes:
        raise SkipRow(f"the video {video} of {expression} is not on the third sheet; add it there")
    written = row.text("type")
    kind = _KINDS.get(re.sub(r"[^a-z]", "", written.lower()))
    if kind is None:
        raise SkipRow(
            f"type is {written!r}, which is neither micro-expression nor macro-expression; correct "
            "the cell"
        )
    apex, offset = row.number_or_none("apex") or None, row.number("offset")
    if offset == 0:
        if apex is None:
            raise SkipRow("there is neither an apex nor an offset; fill one in")
        offset = apex
    yield SheetExpression(
        f"{folders[number]}/{codes[video]}",
        onset=row.number("onset"),
        apex=apex,
        offset=offset,
        emotion=f"{row.text('emotion')}{_elicited(video)}",
        au=row.get("au"),
        kind=kind,
    )


def _elicited(video: str) -> str:
    """Return the emotion that a video was chosen to elicit, as the end of an emotion's name.

    It is read from the video's name, and empty where that has none.
    """
    name = _NAME.fullmatch(video)
    felt = ELICITED.get(name[1]) if name else None
    return f"/{felt}" if felt else ""
