"""Preparation of FER2013, or of pictures sorted by class, as one file of gray faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from realtime.errors import KilasError, SourceError
from realtime.macro.face_crops import Cut, picture_cutter
from realtime.macro.model import MacroModel, MacroSpec
from realtime.parallel.process_pool import map_ordered
from realtime.sources.images import read_picture
from realtime.types import UInt8Array
from training.datasets.fer2013 import find_stills, read_still
from training.datasets.records import Skipped, StillFile, StillRow, format_skipped
from training.macro.stills import LABELS, NO_PART, Stills, load_stills, save_stills

FACE_MISSING = "No face was found in it; give a picture of a face from in front"

Task = tuple[Sequence[StillRow | StillFile], Cut, MacroSpec]

SUFFIX = ".npz"
"""Suffix of a file of stills."""

PICTURES_A_TASK = 64  # enough that sending data between processes costs little beside the work


@dataclass(frozen=True, slots=True)
class Prepared:
    """Result of `prepare_stills`.

    `skipped`: each row or picture that is left out, and why. `notes`: oddities of pictures that
    were used.
    """

    stills: Stills
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def prepare_stills(root: Path, out: Path, faces: Cut, jobs: int) -> Prepared:
    """Write the gray faces of a dataset to `out`, as `training.macro.stills.load_stills` reads it.

    `root`: fer2013.csv, its folder, or a folder with a folder of pictures for each class. `faces`:
    method that cuts the face out of each picture, the largest face if there are several;
    `landmarks` cuts as the monitor does for the model that ships. A part that is called `test`
    mixes FER2013's two test parts; it stays `Test`, which the protocol `official` refuses.

    Raises KilasError when the root cannot be used or nothing is left of it, and where `out` does
    not end in SUFFIX, is or lies within the root, or is an existing file that holds something else.

    Example:

        from pathlib import Path
        from training.macro.prepare import prepare_stills

        prepared = prepare_stills(Path("fer2013.csv"), Path("fer2013.npz"), "cropped", jobs=4)
        print(len(prepared.stills), "faces")
    """
    _refuse(root, out)
    found = find_stills(root)
    pictures = {clip.clip: cast(StillRow | StillFile, clip.frames) for clip in found.clips}
    names = found.table["clip"].tolist()
    stills = [pictures[name] for name in names]
    if faces != "cropped" and any(isinstance(one, StillRow) for one in stills):
        raise KilasError(
            f"The pictures of {root} are cut to the face already; leave --faces {faces} out."
        )
    spec = MacroModel.load().spec
    tasks = [
        (stills[n : n + PICTURES_A_TASK], faces, spec)
        for n in range(0, len(stills), PICTURES_A_TASK)
    ]
    cut = [one for some in map_ordered(_read_task, tasks, jobs, "reading pictures") for one in some]
    skipped = [*found.skipped]
    rows, images = [], []
    for row, (name, one) in enumerate(zip(names, cut, strict=True)):
        if isinstance(one, str):
            skipped.append(Skipped(name, one))
        else:
            rows.append(row)
            images.append(one)
    if not rows:
        raise KilasError(
            f"No face is left of {root}; {len(skipped)} pictures were skipped ({skipped[0].where}: "
            f"{skipped[0].why}). Give pictures of faces from in front."
        )
    kept = found.table.iloc[rows]
    place = {label: n for n, label in enumerate(LABELS)}
    prepared = Stills(
        np.stack(images),
        kept["emotion"].map(place).to_numpy().astype(np.int64),
        kept["usage"].to_numpy().astype(np.str_),
    )
    save_stills(out, prepared)
    return Prepared(prepared, tuple(skipped), found.notes)


def _refuse(root: Path, out: Path) -> None:
    """Raise KilasError if `out` may not be written."""
    if out.suffix.lower() != SUFFIX:
        raise KilasError(f"{out} does not end in {SUFFIX}; choose another --out.")
    if out.resolve().is_relative_to(root.resolve()):
        raise KilasError(f"{out} is, or lies within, what is read; choose another --out.")
    if out.exists():
        try:
            load_stills(out)
        except KilasError as error:
            raise KilasError(
                f"{out} exists and is no file of stills; choose another --out, or remove it."
            ) from error


def format_summary(prepared: Prepared, out: Path) -> str:
    """Format a summary of `prepare_stills`: pictures by part and class, and exact copies.

    Skipped pictures are listed as by `training.datasets.records.format_skipped`.
    """
    stills = prepared.stills
    lines = [f"{out}: {len(stills)} faces."]
    for part in stills.parts:
        rows = stills.part(part)
        classes = zip(LABELS, stills.counts(rows), strict=True)
        class_counts = ", ".join(f"{label} {count}" for label, count in classes)
        lines.append(f"{part or NO_PART}: {len(rows)}; {class_counts}.")
    for one in stills.all_copies():
        part, of = one.part or NO_PART, one.of or NO_PART
        where = f"within {part}" if one.part == one.of else f"in {part} of pictures in {of}"
        lines.append(
            f"Exact copies {where}: {one.pictures}; of these with another label: "
            f"{one.other_labels}."
        )
    lines += format_skipped(prepared.skipped, out)
    return "\n".join([*lines, *(f"Note: {note}" for note in prepared.notes)])


def _read_task(task: Task) -> list[UInt8Array | str]:
    """Return a gray face, uint8 [48, 48], of each picture, or the reason why there is none."""
    pictures, faces, spec = task
    found: list[UInt8Array | str] = []
    with picture_cutter(faces, 1, spec) as cut:
        for picture in pictures:
            try:
                cuts = cut(_read(picture))
                found.append(cuts[0] if cuts else FACE_MISSING)
            except SourceError as error:
                found.append(str(error).rstrip("."))
    return found


def _read(picture: StillRow | StillFile) -> UInt8Array:
    """Read a picture, uint8 BGR [h, w, 3]. Raises SourceError when it cannot be read."""
    if isinstance(picture, StillFile):
        image_bgr = read_picture(picture.path)
        if image_bgr is None:
            raise SourceError(f"{picture.path} cannot be read as a picture; copy it again.")
        return image_bgr
    return np.asarray(cv2.cvtColor(read_still(picture), cv2.COLOR_GRAY2BGR), np.uint8)
