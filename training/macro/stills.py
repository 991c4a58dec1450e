"""Labelled gray faces in one file, and exact copies among them."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from realtime.errors import KilasError
from realtime.macro.model import FACE_PX
from realtime.types import UInt8Array
from training.datasets.fer2013 import MIXED_PART, digest
from training.evaluation.protocols import USAGES, Fold, plan_folds

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The seven classes of FER2013, in its order."""

EYES_APART_PX, EYES_Y_PX = 25.0, 18.7
"""Place of the outer eye corners in FER2013's faces.

They are medians of the 2357 of 2500 pictures, drawn at random, in which MediaPipe finds a face:
25.0 px apart, 18.7 px from the upper edge, around the middle.
"""

_DAMAGE = (
    *(KeyError, TypeError, ValueError, EOFError, OSError, RuntimeError, SyntaxError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""Errors that NumPy and its unpacking raise for a damaged file, or for a file of another kind."""

NO_PART = "-"
"""Name in reports for the pictures that are in no part."""

PLAIN_BATCH = 256
"""Faces in a batch where a network is only measured; the results do not depend on it."""

_Real = TypeVar("_Real", bound=np.floating[Any])


@dataclass(frozen=True, slots=True)
class Copies:
    """Exact copies in the part `part` of pictures in the part `of`.

    `pictures`: number of the copies; within one part, a copy is a picture that comes after its
    original. `other_labels`: number of the copies whose label none of their originals has.
    """

    part: str
    of: str
    pictures: int
    other_labels: int


@dataclass(frozen=True, slots=True, eq=False)
class Stills:
    """Labelled gray faces.

    `images`: uint8 [N, 48, 48]. `labels`: int64 [N], index in LABELS. `usage`: str [N], the part of
    each face: one of `training.evaluation.protocols.USAGES`, MIXED_PART, or an empty text.
    """

    images: UInt8Array
    labels: npt.NDArray[np.int64]
    usage: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that have a picture, FER2013's own first."""
        there = set(self.usage.tolist())
        own = [name for name in USAGES if name in there]
        return (*own, *sorted(there - set(own)))

    def part(self, name: str) -> npt.NDArray[np.int64]:
        """Return the indices of the pictures in a part, int64 [n]."""
        return np.flatnonzero(self.usage == name)

    def counts(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Count the pictures `rows` of each class, int64 [C]."""
        return np.bincount(self.labels[rows], minlength=len(LABELS))

    def fold(self, protocol: str, seed: int, validation_share: float) -> Fold:
        """Divide the pictures into training, validation and test by a protocol.

        Raises KilasError, as `training.evaluation.protocols.plan_folds` does, where the protocol
        does not suit these pictures.
        """
        table = pd.DataFrame(
            {
                "dataset": "fer2013",
                "subject": "",
                "label": np.array(LABELS)[self.labels],
                "usage": self.usage,
            }
        )
        (fold,) = plan_folds(protocol, table, seed=seed, validation_share=validation_share)
        return fold

    def copies(self, rows: npt.NDArray[np.int64], originals: UInt8Array) -> npt.NDArray[np.bool_]:
        """Return True for each of the pictures `rows` that is an exact copy of an original.

        originals: uint8 [M, 48, 48]. Result: bool [n].
        """
        others = set(map(digest, originals))
        return np.array([digest(self.images[row]) in others for row in rows], bool)

    def all_copies(self) -> tuple[Copies, ...]:
        """Count the copies that each part has of its own pictures and of earlier parts' pictures.

        Pairs of parts without copies are left out.
        """
        digests = [digest(image) for image in self.images]
        found = []
        for place, part in enumerate(self.parts):
            for of in self.parts[: place + 1]:
                labels: dict[bytes, set[int]] = {}
                if of != part:
                    for row in self.part(of):
                        labels.setdefault(digests[row], set()).add(self.labels[row])
                pictures = other_labels = 0
                for row in self.part(part):
                    own = labels.get(digests[row])
                    pictures += own is not None
                    other_labels += own is not None and self.labels[row] not in own
                    if of == part:
                        labels.setdefault(digests[row], set()).add(self.labels[row])
                if pictures:
                    found.append(Copies(part, of, pictures, other_labels))
        return tuple(found)


def in_parts(
    network: Callable[[UInt8Array], npt.NDArray[_Real]], faces: UInt8Array
) -> npt.NDArray[_Real]:
    """Run a network on gray faces in batches, so that they need not fit into memory at once.

    faces: uint8 [n >= 1, 48, 48]. Result: [n, C].
    """
    parts = np.array_split(faces, -(-len(faces) // PLAIN_BATCH))
    return np.concatenate([network(part) for part in parts])


def load_stills(path: Path) -> Stills:
    """Read a file of `X` uint8 [N, 48, 48], `y` [N], `usage` [N] and, optionally, `classes`.

    Raises KilasError when the file does not exist or holds something else.

    Example:

        from pathlib import Path
        from training.macro.stills import load_stills

        stills = load_stills(Path("fer2013.npz"))
        print(len(stills), stills.parts)
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            images, labels, usage = held["X"], held["y"], held["usage"]
            classes = held["classes"] if "classes" in held.files else np.array(LABELS)
    except FileNotFoundError as error:
        raise KilasError(f"There is no file {path}; write it with macro prepare.") from error
    except _DAMAGE as error:
        raise KilasError(
            f"{path} holds no stills ({error}); write it again with macro prepare."
        ) from error
    if images.dtype != np.uint8 or images.shape[1:] != (FACE_PX, FACE_PX) or not len(images):
        raise KilasError(
            f"{path} must hold pictures uint8 [N, {FACE_PX}, {FACE_PX}], and holds {images.dtype} "
            f"{list(images.shape)}; write it again with macro prepare."
        )
    if classes.tolist() != list(LABELS):
        raise KilasError(f"{path} has the classes {classes.tolist()}, not {list(LABELS)}.")
    is_right = (
        labels.shape == usage.shape == images.shape[:1]
        and np.issubdtype(labels.dtype, np.integer)
        and np.isin(labels, np.arange(len(LABELS))).all()
        and np.isin(usage, [*USAGES, MIXED_PART, ""]).all()
    )
    if not is_right:
        raise KilasError(
            f"{path} is damaged: it must hold y, an index in {list(LABELS)}, and usage, a text, "
            f"for each of its {len(images)} pictures; write it again with macro prepare."
        )
    return Stills(images, labels.astype(np.int64), usage)


def save_stills(path: Path, stills: Stills) -> None:
    """Write the file that `load_stills` reads, whole or not at all.

    Its folder is made if it does not exist.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.unfinished")
    try:
        with draft.open("wb") as file:
            np.savez_compressed(
                file, X=stills.images, y=stills.labels, usage=stills.usage, classes=np.array(LABELS)
            )
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
