"""Datasets of expressions: what they say, read from their published formats.

`read_dataset` finds the annotations and the frames below a root and returns one canonical table,
whatever the dataset; every row that cannot be used is named with its file and row. Which emotion
counts as which class is decided later: see `training.datasets.classes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from realtime.errors import KilasError
from training.datasets import (
    casme2,
    casme3,
    casme_squared,
    fer2013,
    folder,
    samm,
    samm_lv,
    smic,
)
from training.datasets.classes import (
    CLASSES,
    EMOTIONS,
    class_names,
    default_labels,
    labels_of,
    with_labels,
)
from training.datasets.fer2013 import read_stills
from training.datasets.records import (
    COLUMNS,
    Annotations,
    Clip,
    FrameFiles,
    Skipped,
    StillFile,
    StillRow,
    VideoRange,
)

__all__ = [
    "CLASSES",
    "COLUMNS",
    "DATASETS",
    "Annotations",
    "Clip",
    "Dataset",
    "FrameFiles",
    "Skipped",
    "StillFile",
    "StillRow",
    "VideoRange",
    "class_names",
    "default_labels",
    "labels_of",
    "read_dataset",
    "read_stills",
    "with_labels",
]


@dataclass(frozen=True, slots=True)
class Dataset:
    """`title`: what people call it. `read`: root to annotations. `emotions`: its own words, none
    where any may occur. `fps`: frames a second, None where clips differ or are stills. `has_apex`:
    whether apexes are annotated. `has_long_clips`: recordings in which expressions can be spotted.
    `has_subjects`: whether it says who is who."""

    title: str
    read: Callable[[Path], Annotations]
    emotions: tuple[str, ...]
    fps: float | None
    has_apex: bool = True
    has_long_clips: bool = False
    has_subjects: bool = True


DATASETS: dict[str, Dataset] = {
    "casme2": Dataset("CASME II", casme2.read, EMOTIONS["casme2"], casme2.FPS),
    "smic": Dataset("SMIC-HS", smic.read, EMOTIONS["smic"], smic.FPS, has_apex=False),
    "samm": Dataset("SAMM", samm.read, EMOTIONS["samm"], samm.FPS),
    "samm-lv": Dataset(
        "SAMM-LV", samm_lv.read, EMOTIONS["samm-lv"], samm_lv.FPS, has_long_clips=True
    ),
    "casme-squared": Dataset(
        "CAS(ME)²",
        casme_squared.read,
        EMOTIONS["casme-squared"],
        casme_squared.FPS,
        has_long_clips=True,
    ),
    "casme3": Dataset(
        "CAS(ME)³ part A", casme3.read, EMOTIONS["casme3"], casme3.FPS, has_long_clips=True
    ),
    "fer2013": Dataset(
        "FER2013", fer2013.read, EMOTIONS["fer2013"], None, has_apex=False, has_subjects=False
    ),
    "folder": Dataset("own clips", folder.read, EMOTIONS["folder"], None, has_long_clips=True),
}
"""All datasets, by the names that commands and files know them by."""


def read_dataset(name: str, root: Path) -> Annotations:
    """The annotations of a dataset at `root`, the folder that holds its table and its frames.

    Raises KilasError when there is no such dataset, `root` is not it, its table cannot be read or
    lacks a sheet or a column, or no row is left.
    """
    if name not in DATASETS:
        raise KilasError(f"There is no dataset {name}; there are {', '.join(DATASETS)}.")
    return DATASETS[name].read(root)
