"""Writes small datasets in exactly their published layouts: spreadsheets, folders and frame names.

    from support.dataset_layouts import write_casme2
    write_casme2(tmp_path, subjects=3, clips=4, frames=60, picture=draw)

works from every test, because the folder of `conftest.py` is on the path. `picture` is one picture
for all frames, or draws each from its Shot. `edit` changes the rows in place before they are
written; a row is a dict of the published columns (blank columns excepted).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import openpyxl

from training.datasets.classes import EMOTIONS

Image = npt.NDArray[np.uint8]
Cells = dict[str, Any]
Edit = Callable[[list[Cells]], object]


@dataclass(frozen=True)
class Shot:
    """Description of a frame. `subject`, `clip`: from 1; `frame`: from 0; `strength`: of the
    expression, 0 outside of it and 1 at the apex."""

    subject: int
    clip: int
    emotion: str
    frame: int
    strength: float


Picture = Image | Callable[[Shot], Image]

FLAT = np.full((24, 32, 3), 128, np.uint8)
"""Small, gray and without a face."""


@dataclass(frozen=True)
class Course:
    """Course of the one expression of a clip, as indices of its frames."""

    onset: int
    apex: int
    offset: int

    def strength(self, frame: int) -> float:
        rise, fall = max(self.apex - self.onset, 1), max(self.offset - self.apex, 1)
        return max(0.0, 1 - max((self.apex - frame) / rise, (frame - self.apex) / fall, 0.0))


def course_of(frames: int) -> Course:
    """In the middle of a clip of so many frames."""
    return Course(frames // 4, frames // 2, frames * 3 // 4)


def emotion_of(dataset: str, subject: int, clip: int) -> str:
    """They take turns, so that each comes up soon."""
    known = EMOTIONS[dataset]
    return known[(subject + clip) % len(known)]


def write_frames(
    folder: Path,
    names: Sequence[str],
    picture: Picture,
    shot: Callable[[int], Shot],
) -> None:
    """A picture of each name, in the format that the name ends in."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame, name in enumerate(names):
        image = picture(shot(frame)) if callable(picture) else picture
        assert cv2.imwrite(str(folder / name), image)


def write_clip(
    folder: Path,
    names: Sequence[str],
    picture: Picture,
    subject: int,
    clip: int,
    emotion: str,
    courses: Sequence[Course] = (),
    first: int = 0,
) -> None:
    """The frames of a clip in which an expression takes these courses, from frame `first` on."""

    def shot(frame: int) -> Shot:
        strength = max((one.strength(first + frame) for one in courses), default=0.0)
        return Shot(subject, clip, emotion, first + frame, strength)

    write_frames(folder, names, picture, shot)


def write_xlsx(path: Path, sheets: dict[str, Iterable[Sequence[Any]]]) -> None:
    """Rows of cells, None for an empty one; a blank row is an empty sequence."""
    path.parent.mkdir(parents=True, exist_ok=True)
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row, cells in enumerate(rows, 1):
            for column, value in enumerate(cells, 1):
                if value is not None:
                    sheet.cell(row, column, value)
    workbook.save(path)


def write_xls(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """A real .xls of one sheet, in the oldest of its formats (BIFF2, Excel 2.1), which consists of
    nothing but records: begin, numbers, labels, end."""

    def record(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    written = [record(0x0009, struct.pack("<HH", 7, 0x10))]
    for row, cells in enumerate(rows):
        for column, value in enumerate(cells):
            place = struct.pack("<HH3x", row, column)
            if isinstance(value, str):
                text = value.encode("latin-1")
                written.append(record(0x0004, place + struct.pack("<B", len(text)) + text))
            elif value is not None:
                written.append(record(0x0003, place + struct.pack("<d", value)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join([*written, record(0x000A, b"")]))


def write_sheet(path: Path, rows: Iterable[Sequence[Any]], name: str = "Sheet1") -> None:
    """One sheet, in the format that the path ends in."""
    if path.suffix == ".xls":
        write_xls(path, rows)
    else:
        write_xlsx(path, {name: rows})


def laid_out(columns: Sequence[str | None], rows: Iterable[Cells]) -> list[list[Any]]:
    """A header and rows below it; None is a blank column."""
    body = [[row.get(name) if name else None for name in columns] for row in rows]
    return [list(columns), *body]


def _edited(rows: list[Cells], edit: Edit | None) -> list[Cells]:
    if edit is not None:
        edit(rows)
    return rows


CASME2_COLUMNS = (
    *("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None),
    *("Action Units", "Estimated Emotion"),
)


def write_casme2(
    root: Path,
    *,
    subjects: int = 2,
    clips: int = 2,
    frames: int = 12,
    picture: Picture = FLAT,
    edit: Edit | None = None,
    label_file: str = "CASME2-coding-20140508.xlsx",
    cropped: bool = False,
) -> None:
    """Raw frames are numbered from 1, and a clip has some before the onset and after the offset;
    cropped ones are those from onset to offset."""
    rows: list[Cells] = []
    course = course_of(frames)
    for subject in range(1, subjects + 1):
        for clip in range(1, clips + 1):
            name, emotion = f"EP{clip:02d}_01f", emotion_of("casme2", subject, clip)
            folder = root / ("Cropped" if cropped else "CASME2_RAW_selected")
            shown = range(course.onset, course.offset + 1) if cropped else range(frames)
            write_clip(
                folder / f"sub{subject:02d}" / name,
                [f"{'reg_' if cropped else ''}img{frame + 1}.jpg" for frame in shown],
                picture,
                subject,
                clip,
                emotion,
                [course],
                first=shown[0],
            )
            rows.append(
                {
                    **{"Subject": f"{subject:02d}", "Filename": name},
                    **{"OnsetFrame": course.onset + 1, "ApexFrame": course.apex + 1},
                    **{"OffsetFrame": course.offset + 1, "Action Units": "4+7"},
                    "Estimated Emotion": emotion,
                }
            )
    write_sheet(root / label_file, laid_out(CASME2_COLUMNS, _edited(rows, edit)))


SMIC_COLUMNS = (
    *("Subject", "Filename", "Emotion", "OnsetF", "OffsetF", "Onset2F", "Offset2F"),
    *("Onset3F", "Offset3F", "FirstF", "LastF"),
)
SMIC_SHORT = {"negative": "ne", "positive": "po", "surprise": "sur"}
SMIC_REMARKS = ("Notes:", "The numbers are those of the files.", "Clips may hold up to three.")


def write_smic(
    root: Path,
    *,
    subjects: int = 2,
    clips: int = 3,
    frames: int = 12,
    picture: Picture = FLAT,
    edit: Edit | None = None,
    label_file: str = "SMIC-HS-E_annotation.xlsx",
    cropped: bool = False,
    first: int = 308866,
    columns: Sequence[str] = SMIC_COLUMNS,
) -> None:
    """Frames are numbered as in their session, from `first` on; below the table there are
    remarks."""
    rows: list[Cells] = []
    course = course_of(frames)
    for subject in range(1, subjects + 1):
        for clip in range(1, clips + 1):
            emotion = emotion_of("smic", subject, clip)
            name = f"s{subject}_{SMIC_SHORT[emotion]}_{clip:02d}"
            start = first + 1000 * (subject * clips + clip)
            if cropped:
                parts = ("SMIC_all_cropped", "HS", f"s{subject:02d}", "micro", emotion, name)
                pattern = "reg_image{:06d}.bmp"
            else:
                parts = ("SMIC-HS-E", f"s{subject:02d}", name)
                pattern = "image{:06d}.jpg"
            write_clip(
                root.joinpath(*parts),
                [pattern.format(start + frame) for frame in range(frames)],
                picture,
                subject,
                clip,
                emotion,
                [course],
            )
            rows.append(
                {
                    **{"Subject": subject, "Filename": name, "Emotion": emotion},
                    **{"OnsetF": start + course.onset, "OffsetF": start + course.offset},
                    **{"FirstF": start, "LastF": start + frames - 1},
                }
            )
    table = laid_out(columns, _edited(rows, edit))
    write_sheet(root / label_file, [*table, [], *([remark] for remark in SMIC_REMARKS)])


SAMM_COLUMNS = (
    *("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame"),
    *("Duration", "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes"),
)
SAMM_PREAMBLE = [["SAMM Micro-Expressions"], [], ["FACS codes of three coders."], *([[]] * 10)]
"""So that the header is on row 14."""


def write_samm(
    root: Path,
    *,
    subjects: int = 2,
    clips: int = 2,
    frames: int = 12,
    picture: Picture = FLAT,
    edit: Edit | None = None,
    label_file: str = "SAMM_Micro_FACS_Codes_v2.xlsx",
    preamble: Sequence[Sequence[Any]] = SAMM_PREAMBLE,
    with_frames: bool = True,
) -> None:
    """Subjects are 006, 007 and so on. Without frames only the spreadsheet is written."""
    rows: list[Cells] = []
    course = course_of(frames)
    for subject in range(6, 6 + subjects):
        for clip in range(1, clips + 1):
            emotion, start = emotion_of("samm", subject, clip), 5562 + 100 * clip
            name = f"{subject:03d}_{clip}_2"
            if with_frames:
                write_clip(
                    root / f"{subject:03d}" / name,
                    [f"{subject:03d}_{start + frame:05d}.jpg" for frame in range(frames)],
                    picture,
                    subject,
                    clip,
                    emotion,
                    [course],
                )
            rows.append(
                {
                    **{"Subject": f"{subject:03d}", "Filename": name, "Inducement Code": clip},
                    **{"Onset Frame": start + course.onset, "Apex Frame": start + course.apex},
                    "Offset Frame": start + course.offset,
                    "Duration": course.offset - course.onset + 1,
                    **{"Micro": "Micro - 1/2", "Action Units": "AU4 or AU7"},
                    **{"Estimated Emotion": emotion.capitalize(), "Objective Classes": 4},
                }
            )
    table = laid_out(SAMM_COLUMNS, _edited(rows, edit))
    write_sheet(root / label_file, [*preamble, *table])


SAMM_LV_COLUMNS = (
    *("Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type"),
    *("Action Units", "Notes"),
)
SAMM_LV_PREAMBLE = [["SAMM Long Videos"], *([[]] * 8)]
"""So that the header is on row 10."""


def write_samm_lv(
    root: Path,
    *,
    subjects: int = 2,
    clips: int = 2,
    frames: int = 24,
    picture: Picture = FLAT,
    edit: Edit | None = None,
    label_file: str = "SAMM_LongVideos_V1_Release.xlsx",
) -> None:
    """Each recording has a micro-expression, its number 2, which SAMM has too, and behind it a
    macro-expression, its number 3. The last recording of each subject has none."""
    rows: list[Cells] = []
    half = frames // 2
    early = course_of(half)
    late = Course(early.onset + half, early.apex + half, early.offset + half)
    shown = {(2, "Micro - 1/2"): early, (3, "Macro"): late}
    for subject in range(6, 6 + subjects):
        for clip in range(1, clips + 2):
            video = f"{subject:03d}_{clip}"
            courses = shown if clip <= clips else {}
            write_clip(
                root / "SAMM_longvideos" / video,
                [f"{video}_{frame:04d}.jpg" for frame in range(1, frames + 1)],
                picture,
                subject,
                clip,
                emotion_of("samm", subject, clip),
                list(courses.values()),
            )
            for (number, kind), course in courses.items():
                rows.append(
                    {
                        **{"Subject": f"{subject:03d}", "Filename": f"{video}_{number}"},
                        **{"Inducement Code": clip, "Onset": course.onset + 1},
                        **{"Apex": course.apex + 1, "Offset": course.offset + 1},
                        "Duration": course.offset - course.onset + 1,
                        **{"Type": kind, "Action Units": "4+7"},
                    }
                )
    table = laid_out(SAMM_LV_COLUMNS, _edited(rows, edit))
    write_sheet(root / label_file, [*SAMM_LV_PREAMBLE, *table], "FACS_Movement_Only")


CASME_SQUARED_COLUMNS = (
    *("subject", "video", "onset", "apex", "offset", "au", "emotion", "type", "self report"),
)
CASME_SQUARED_FOLDERS = (15, 16, 19, 20, 21, 22, 23, 24, 25, 26)
CASME_SQUARED_VIDEOS = {
    "disgust1": "0101disgustingteeth",
    "anger1": "0401girlcrashing",
    "happy1": "0502funnyerrors",
    "disgust2": "0102eatingworms",
    "anger2": "0402beatingpregnantwoman",
}


def write_casme_squared(
    root: Path,
    *,
    subjects: int = 2,
    clips: int = 3,
    frames: int = 24,
    picture: Picture = FLAT,
    edit: Edit | None = None,
    label_file: str = "CAS(ME)^2code_final.xlsx",
    sheets: int = 3,
) -> None:
    """Recordings take turns in a micro- and a macro-expression; the last one of each subject has
    none. sheets: how many of the three are written."""
    rows: list[Cells] = []
    course = course_of(frames)
    names = list(CASME_SQUARED_VIDEOS)[: clips + 1]
    for subject in range(1, subjects + 1):
        folder = CASME_SQUARED_FOLDERS[subject - 1]
        for clip, name in enumerate(names, 1):
            emotion = emotion_of("casme-squared", subject, clip)
            has_expression = clip <= clips
            write_clip(
                root / "rawpic" / f"s{folder}" / f"{folder}_{CASME_SQUARED_VIDEOS[name]}",
                [f"img{frame:03d}.jpg" for frame in range(1, frames + 1)],
                picture,
                subject,
                clip,
                emotion,
                [course] if has_expression else [],
            )
            if has_expression:
                kind = "micro-expression" if clip % 2 else "macro-expression"
                rows.append(
                    {
                        **{"subject": subject, "video": f"{name}_1"},
                        **{"onset": course.onset + 1, "apex": course.apex + 1},
                        **{"offset": course.offset + 1, "au": "4+7", "emotion": emotion},
                        **{"type": kind, "self report": name.rstrip("12")},
                    }
                )
    numbered = enumerate(CASME_SQUARED_FOLDERS[:subjects], 1)
    pages = {
        "CODE FINAL": laid_out(CASME_SQUARED_COLUMNS, _edited(rows, edit))[1:],
        "naming rule1": [[folder, f"s{folder}", number] for number, folder in numbered],
        "naming rule2": [
            [video[:4], name, video[4:]] for name, video in CASME_SQUARED_VIDEOS.items()
        ],
    }
    write_xlsx(root / label_file, dict(list(pages.items())[:sheets]))


CASME3_COLUMNS = (
    *("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"),
)


def write_casme3(
    root: Path,
    *,
    subjects: int = 2,
    clips: int = 2,
    frames: int = 16,
    picture: Picture = FLAT,
    edit: Edit | None = None,
    label_file: str = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
    cut_out: bool = False,
    sheet: str = "label",
) -> None:
    """All numbers are text. cut_out: a folder for each expression instead of each recording."""
    rows: list[Cells] = []
    course, start = course_of(frames), 170
    for subject in range(1, subjects + 1):
        for clip in range(1, clips + 1):
            letter, emotion = "abcdefghijklm"[clip - 1], emotion_of("casme3", subject, clip)
            onset, offset = start + course.onset, start + course.offset
            if cut_out:
                name = f"spNO.{subject}_{letter}_{onset}"
                colour, depth = (
                    root / "Part_A_ME_clip" / kind / name for kind in ("frame", "depth")
                )
                numbers = range(onset, offset + 1)
            else:
                recording = root / "part_A" / f"spNO.{subject}" / letter
                colour, depth = recording / "color", recording / "depth"
                numbers = range(start, start + frames)
            names, first = [str(number) for number in numbers], numbers[0] - start
            own = (picture, subject, clip, emotion, [course], first)
            write_clip(colour, [f"{name}.jpg" for name in names], *own)
            write_clip(depth, [f"{name}.png" for name in names], FLAT[:, :, 0], *own[1:])
            rows.append(
                {
                    **{"Subject": f"spNO.{subject}", "Filename": letter, "Onset": str(onset)},
                    **{"Apex": str(start + course.apex), "Offset": str(offset), "AU": "4+7"},
                    **{"Objective class": "4", "emotion": emotion},
                }
            )
    write_sheet(root / label_file, laid_out(CASME3_COLUMNS, _edited(rows, edit)), sheet)


FER2013_USAGES = ("Training", "PublicTest", "PrivateTest")


def still(seed: int) -> Image:
    """uint8 [48, 48], different for each seed."""
    return np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8)


def write_fer2013(
    root: Path,
    *,
    stills: int = 21,
    picture: Callable[[int], Image] = still,
    edit: Edit | None = None,
) -> None:
    """The competition's fer2013.csv. Emotions and parts take turns; picture: of each still, uint8
    [48, 48]."""
    rows: list[Cells] = [
        {
            "emotion": number % 7,
            "pixels": " ".join(map(str, picture(number).ravel())),
            "Usage": FER2013_USAGES[number // 7 % 3],
        }
        for number in range(stills)
    ]
    table = laid_out(("emotion", "pixels", "Usage"), _edited(rows, edit))
    lines = (",".join(str(cell) for cell in cells) for cells in table)
    root.mkdir(parents=True, exist_ok=True)
    (root / "fer2013.csv").write_text("".join(f"{line}\n" for line in lines))


def write_fer2013_folders(root: Path, *, each: int = 2) -> None:
    """Pictures by class, below the folders train and test."""
    for part in ("train", "test"):
        for number, emotion in enumerate(EMOTIONS["fer2013"]):
            write_frames(
                root / part / emotion,
                [f"{part.capitalize()}_{number}{count}.png" for count in range(each)],
                lambda shot: still(shot.clip),
                lambda frame, clip=number: Shot(0, 10 * clip + frame, "", frame, 0.0),
            )


def write_folder(
    root: Path,
    *,
    subjects: int = 2,
    clips: int = 2,
    frames: int = 12,
    fps: float = 30.0,
    picture: Picture = FLAT,
    edit: Edit | None = None,
    edit_clips: Edit | None = None,
    columns: Sequence[str] = ("clip", "onset_s", "apex_s", "offset_s", "label"),
) -> None:
    """A user's own clips, each a folder of frames with one expression. columns: of events.csv."""
    events: list[Cells] = []
    named: list[Cells] = []
    course = course_of(frames)
    for subject in range(1, subjects + 1):
        for clip in range(1, clips + 1):
            name, emotion = f"p{subject}_{clip}", emotion_of("simulated", subject, clip)
            write_clip(
                root / name,
                [f"{frame:04d}.png" for frame in range(frames)],
                picture,
                subject,
                clip,
                emotion,
                [course],
            )
            named.append({"clip": name, "subject": f"p{subject}", "fps": fps})
            events.append(
                {
                    **{"clip": name, "onset_s": course.onset / fps, "apex_s": course.apex / fps},
                    **{"offset_s": course.offset / fps, "label": emotion},
                }
            )
    root.mkdir(parents=True, exist_ok=True)
    for file, names, rows in (
        ("clips.csv", ("clip", "subject", "fps"), _edited(named, edit_clips)),
        ("events.csv", columns, _edited(events, edit)),
    ):
        lines = (
            ",".join("" if cell is None else str(cell) for cell in cells)
            for cells in laid_out(names, rows)
        )
        (root / file).write_text("".join(f"{line}\n" for line in lines))
