"""Readers of datasets of expressions in their published formats.

`read_dataset` finds the annotations and the frames below a root and returns one canonical table,
whatever the dataset; every row that cannot be used is named with its file and row. The mapping
from emotions to classes is applied later: see `training.datasets.classes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
    class_names,
    default_labels,
    labels_of,
    with_labels,
)
from training.datasets.fer2013 import read_still
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
    "read_still",
    "with_labels",
]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Dataset that can be read. `title`: its usual name; `read`: from a root to annotations,
    still without labels."""

    title: str
    read: Callable[[Path], Annotations]


DATASETS: dict[str, Dataset] = {
    "casme2": Dataset("CASME II", casme2.read),
    "smic": Dataset("SMIC-HS", smic.read),
    "samm": Dataset("SAMM", samm.read),
    "samm-lv": Dataset("SAMM-LV", samm_lv.read),
    "casme-squared": Dataset("CAS(ME)²", casme_squared.read),
    "casme3": Dataset("CAS(ME)³ part A", casme3.read),
    "fer2013": Dataset("FER2013", fer2013.read),
    "folder": Dataset("own clips", folder.read),
}
"""All datasets, by their names in commands and files."""


def read_dataset(name: str, root: Path, classes: str = "three") -> Annotations:
    """Read the annotations of a dataset at `root`, the folder of its table and its frames.

    `name`: a key of `DATASETS`; `classes`: a key of `CLASSES`, which decides the column `label`.
    Raises KilasError when there is no such dataset or no such classes, `root` is another dataset,
    the table cannot be read or lacks a sheet or a column, or no row is left.
    """
    if name not in DATASETS:
        raise KilasError(f"There is no dataset {name}; there are {', '.join(DATASETS)}.")
    found = DATASETS[name].read(root)
    return replace(found, table=with_labels(found.table, classes))
