"""Labelled gray faces in one file, and which of them are the same picture twice."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime.errors import KilasError
from realtime.types import UInt8Array
from training.macro.networks import STILL_PX

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The seven classes of FER2013, in its order."""

PARTS = ("Training", "PublicTest", "PrivateTest")
"""FER2013's own parts."""


@dataclass(frozen=True, slots=True, eq=False)
class Stills:
    """Gray faces. `images`: uint8 [N, 48, 48]; `labels`: int64 [N], place in LABELS; `usage`:
    str [N], the part that each is in, of PARTS."""

    images: UInt8Array
    labels: npt.NDArray[np.int64]
    usage: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, name: str) -> npt.NDArray[np.int64]:
        """Places of the pictures in a part, int64 [n]."""
        return np.flatnonzero(self.usage == name)

    def copies(
        self, rows: npt.NDArray[np.int64], of: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Which of the pictures `rows` are exact copies of one of the pictures `of`, bool [n]."""
        others = {_digest(self.images[row]) for row in of}
        return np.array([_digest(self.images[row]) in others for row in rows], bool)


def _digest(image: UInt8Array) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def load_stills(path: Path) -> Stills:
    """Read a file of `X` uint8 [N, 48, 48], `y` [N], `usage` [N] and, if it has it, `classes`.

    Raises KilasError when there is no such file or it holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            stills = Stills(held["X"], held["y"].astype(np.int64), held["usage"].astype(np.str_))
            classes = tuple(held["classes"].tolist()) if "classes" in held.files else LABELS
    except FileNotFoundError as error:
        raise KilasError(f"There is no file {path}; make it with macro prepare.") from error
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise KilasError(
            f"{path} holds no stills ({error}); make it with macro prepare."
        ) from error
    shape = (len(stills), STILL_PX, STILL_PX)
    if stills.images.shape != shape or stills.images.dtype != np.uint8:
        raise KilasError(
            f"{path} must hold pictures uint8 {list(shape)}, and holds {stills.images.dtype} "
            f"{list(stills.images.shape)}; make it with macro prepare."
        )
    if classes != LABELS:
        raise KilasError(f"{path} has the classes {', '.join(classes)}, not {', '.join(LABELS)}.")
    if len(stills.usage) != len(stills) or not np.isin(stills.labels, np.arange(len(LABELS))).all():
        raise KilasError(f"{path} is damaged: its labels do not fit; make it with macro prepare.")
    return stills


def save_stills(path: Path, stills: Stills) -> None:
    """Write what `load_stills` reads."""
    np.savez_compressed(
        path, X=stills.images, y=stills.labels, usage=stills.usage, classes=np.array(LABELS)
    )
