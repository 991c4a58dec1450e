"""Balancing of classes of very different sizes: weights, or more samples of small classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from realtime.errors import KilasError
from realtime.types import Float32Array

SMOTE_NEIGHBOURS = 5  # Chawla et al., 2002, who introduced SMOTE


def class_weights(labels: npt.NDArray[np.int64], classes: Sequence[str]) -> Float32Array:
    """Return the weight W_k = N / n_k of each class, float32 [C].

    It is that of the dual-path and the 3DCNN framework paper. `labels`: int64 [N], class index of
    the samples to train on; `classes`: names of the classes.

    They are as the papers state them, not normalised: their mean over the samples is C, so losses
    are about C times as large. To Adam that is hardly another learning rate, because it divides
    its steps by the size of the gradients.

    Raises KilasError when a class has no sample.
    """
    check_balance(labels, classes, "weights")
    counts = np.bincount(labels, minlength=len(classes))
    return (len(labels) / counts).astype(np.float32)


def smote(
    clips: npt.NDArray[Any], labels: npt.NDArray[np.int64], classes: Sequence[str], seed: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Add new clips until each class is as large as the largest (SMOTE, Chawla et al., 2002).

    Returns the given clips in their order, then the new clips, and the labels of all. `clips`:
    [N, ...], uint8 or floating, and so are the new clips; `labels`: int64 [N], class index;
    `classes`: names of the classes. A new clip lies between a clip and one of its five nearest
    neighbours of the same class, fewer where the smallest class has no six clips.

    The work is done on float32 copies, up to three at once: 3 MB for each clip of 16 gray faces in
    the result.

    Raises KilasError when a class has fewer than two clips.
    """
    # It takes two seconds to import, and only some trainings need it.
    from imblearn.over_sampling import SMOTE

    check_balance(labels, classes, "smote")
    counts = np.bincount(labels, minlength=len(classes))
    neighbours = min(SMOTE_NEIGHBOURS, int(counts.min()) - 1)
    sampler = SMOTE(k_neighbors=neighbours, random_state=seed)
    flat = clips.reshape(len(clips), -1).astype(np.float32)
    resampled, all_labels = sampler.fit_resample(flat, labels)
    if np.issubdtype(clips.dtype, np.integer):
        np.rint(resampled, out=resampled)
    return resampled.astype(clips.dtype).reshape(-1, *clips.shape[1:]), all_labels


def check_balance(
    labels: npt.NDArray[np.int64], classes: Sequence[str], balance: Literal["weights", "smote"]
) -> None:
    """Check that each class has enough samples for this way to balance. Raises KilasError."""
    least, method = {"weights": (1, "A class weight"), "smote": (2, "SMOTE")}[balance]
    counts = np.bincount(labels, minlength=len(classes))
    for name, count in zip(classes, counts, strict=True):
        if count < least:
            raise KilasError(
                f"{method} needs {least} samples or more of each class, and {name} has "
                f"{count}; give more data, or choose another way to balance the classes."
            )
