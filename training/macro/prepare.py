"""FER2013, or pictures sorted like it, to the one file that still-image networks are trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, cast

import numpy as np

from realtime.errors import KilasError, SourceError
from realtime.haar import HaarFinder, cut_box, shrink
from realtime.landmarks import FaceFinder
from realtime.macro import FACE_PX, MacroModel, MacroSpec, cut_face
from realtime.pools import in_order
from realtime.types import UInt8Array
from training.datasets import Skipped, StillFile, StillRow, read_dataset, read_stills
from training.datasets.frames import read_picture
from training.macro.stills import LABELS, NO_PART, Stills, save_stills
from training.prepare import tell_skipped

Faces = Literal["as-is", "landmarks", "haar"]

NO_FACE = "No face was found in it; give a picture of a face from in front."

Task = tuple[Sequence[StillRow | StillFile], Faces]

Cutter = Callable[[StillRow | StillFile], UInt8Array]
"""Gray face of a picture, uint8 [48, 48]; raises SourceError when there is none."""

PICTURES_A_TASK = 64  # so many that what goes between the processes is little beside the work


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare_stills` wrote. `skipped`: each row or picture that is left out, and why;
    `notes`: what is odd but was used."""

    stills: Stills
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def prepare_stills(root: Path, out: Path, faces: Faces, jobs: int) -> Prepared:
    """Write what `training.macro.stills.load_stills` reads to `out`.

    `root`: fer2013.csv, its folder, or a folder with a folder of pictures for each class. `faces`:
    the pictures are faces already, which are made 48 x 48 if they are not, or are whole pictures
    out of which the largest face is cut: by landmarks as the monitor does it for the model that
    ships, or by a Haar cascade. A part that is called `test` mixes FER2013's two; it stays `Test`,
    which the protocol `official` refuses.

    Raises KilasError when the root cannot be used or nothing is left of it.
    """
    found = read_dataset("fer2013", root, "full")
    pictures = {clip.clip: cast(StillRow | StillFile, clip.frames) for clip in found.clips}
    names = found.table["clip"].tolist()
    stills = [pictures[name] for name in names]
    if faces != "as-is" and any(isinstance(one, StillRow) for one in stills):
        raise KilasError(
            f"The pictures of {root} are cut to the face already; leave --faces {faces} out."
        )
    tasks = [
        (stills[n : n + PICTURES_A_TASK], faces) for n in range(0, len(stills), PICTURES_A_TASK)
    ]
    cut = [one for some in in_order(_read_task, tasks, jobs, "reading pictures") for one in some]
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
            f"No face is left of {root}, {len(skipped)} pictures were skipped ({skipped[0].where}: "
            f"{skipped[0].why}); give pictures of faces from in front."
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


def tell(prepared: Prepared, out: Path) -> str:
    """What `prepare_stills` did, in words: pictures by part and class, exact copies, and what was
    skipped as `training.prepare.tell_skipped` has it."""
    stills = prepared.stills
    lines = [f"{out}: {len(stills)} faces."]
    for part in stills.parts:
        rows = stills.part(part)
        classes = zip(LABELS, stills.counts(rows), strict=True)
        words = ", ".join(f"{label} {count}" for label, count in classes)
        lines.append(f"{part or NO_PART}: {len(rows)}; {words}.")
    for one in stills.all_copies():
        part, of = one.part or NO_PART, one.of or NO_PART
        where = f"within {part}" if one.part == one.of else f"in {part} of pictures in {of}"
        lines.append(
            f"Exact copies {where}: {one.pictures}; of these with another label: "
            f"{one.other_labels}."
        )
    lines += tell_skipped(prepared.skipped, out)
    return "\n".join([*lines, *(f"Note: {note}" for note in prepared.notes)])


def _read_task(task: Task) -> list[UInt8Array | str]:
    """A gray face uint8 [48, 48] of each picture, or why there is none."""
    pictures, faces = task
    found: list[UInt8Array | str] = []
    with ExitStack() as stack:
        cut = _cutter(faces, stack)
        for picture in pictures:
            try:
                found.append(cut(picture))
            except SourceError as error:
                found.append(str(error).rstrip("."))
    return found


def _cutter(faces: Faces, stack: ExitStack) -> Cutter:
    if faces == "haar":
        return partial(_cut_by_haar, HaarFinder())
    if faces == "landmarks":
        finder = stack.enter_context(FaceFinder())
        return partial(_cut_by_landmarks, finder, MacroModel.load().spec)
    return _as_is


def _as_is(picture: StillRow | StillFile) -> UInt8Array:
    (gray,) = read_stills(picture)
    return gray if gray.shape == (FACE_PX, FACE_PX) else shrink(gray)


def _cut_by_haar(find: HaarFinder, picture: StillRow | StillFile) -> UInt8Array:
    (gray,) = read_stills(picture)
    boxes = find(gray)
    if not len(boxes):
        raise SourceError(NO_FACE)
    return cut_box(gray, boxes[0])


def _cut_by_landmarks(
    find: FaceFinder, spec: MacroSpec, picture: StillRow | StillFile
) -> UInt8Array:
    image_bgr = read_picture(picture.path)
    if image_bgr is None:
        raise SourceError(f"{picture.path} cannot be read as a picture; copy it again.")
    faces = find(image_bgr)
    if not faces:
        raise SourceError(NO_FACE)
    return cut_face(image_bgr, faces[0].transform, spec)
