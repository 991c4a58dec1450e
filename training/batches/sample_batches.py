"""Batches of samples that a network is trained and evaluated on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from realtime.spec import LAYOUTS, ModelSpec, RegionLayout
from realtime.types import Float32Array, UInt8Array
from training.batches.augmentation import Augmentation, augment, augment_motion
from training.batches.balancing import class_weights, smote
from training.batches.prefetch import Batch, PrefetchedBatches
from training.batches.samples import Samples
from training.recipe import SampleSettings, TrainingSettings

PLAIN_BATCH = 64
"""Samples of a batch for evaluation: the metrics do not depend on it."""


def cut(faces: UInt8Array, layout: RegionLayout) -> UInt8Array:
    """Cut the regions out of whole faces: uint8 [B, T, 128, 128] -> [B, T, R, H, W, 1]."""
    boxes = LAYOUTS[layout]
    return np.stack(
        [faces[:, :, top:bottom, left:right, np.newaxis] for left, top, right, bottom in boxes],
        axis=2,
    )


class SampleBatches(PrefetchedBatches):
    """Batches (signal, labels) or (signal, labels, weights) of samples.

    They are as few and as equal in size as possible, since a small last batch would count as much
    as a whole batch. `signal`: [B, T, R, H, W, C], uint8 for gray and float32 for motion; `labels`:
    int64 [B]; `weights`: float32 [B]. Made by `training_batches` and `plain_batches`.
    """

    def __init__(
        self,
        slots: npt.NDArray[np.generic],
        index: npt.NDArray[np.int64],
        labels: npt.NDArray[np.int64],
        spec: ModelSpec,
        batch: int,
        *,
        shuffle: bool,
        seed: int = 0,
        devices: int = 1,
        augmentation: Augmentation | None = None,
        weights: Float32Array | None = None,
    ) -> None:
        """Set the samples and the way to make batches of them.

        `slots`, `index`, `labels`: as in `Samples`; `weights`: float32 [N], of each sample;
        `devices`: number of devices that share each batch, whose size is a multiple of it; fewer
        samples than that are left over in an epoch.
        """
        self._slots = slots
        self._index = index
        self._labels = labels
        self._spec = spec
        self._batch = batch
        self._devices = devices
        self._augmentation = augmentation
        self._weights = weights
        super().__init__(np.arange(len(labels)), shuffle=shuffle, seed=seed)

    def __len__(self) -> int:
        return -(-len(self._labels) // self._batch)

    def _make(self, rows: npt.NDArray[np.int64], index: int, rng: np.random.Generator) -> Batch:
        shared = len(rows) // self._devices
        first, end = np.arange(index, index + 2) * shared // len(self) * self._devices
        chosen = rows[first:end]
        signal: npt.NDArray[Any] = self._slots[self._index[chosen]]
        if self._spec.signal == "motion":
            signal = signal.astype(np.float32)
            if self._augmentation is not None:
                signal = augment_motion(signal, rng, self._spec, self._augmentation)
        else:
            if self._augmentation is not None:
                signal = augment(signal, rng, self._augmentation)
            signal = cut(signal, self._spec.region_layout)
        if self._weights is None:
            return signal, self._labels[chosen]
        return signal, self._labels[chosen], self._weights[chosen]


def training_batches(
    samples: Samples,
    chosen: npt.NDArray[np.int64],
    spec: ModelSpec,
    settings: SampleSettings,
    training: TrainingSettings,
    devices: int = 1,
) -> SampleBatches:
    """Return batches of the chosen samples, int64 [n], for training.

    They come in a new order in each epoch, balanced and augmented by the settings. Samples of all
    other indices have no part in them. Raises KilasError when a class has too few samples for the
    balancing.
    """
    slots, index, labels = samples.slots, samples.index[chosen], samples.labels[chosen]
    weights = None
    if settings.balance == "weights":
        weights = class_weights(labels, spec.labels)[labels]
    elif settings.balance == "smote":
        clips, labels = smote(slots[index], labels, spec.labels, training.seed)
        index = np.arange(len(clips) * spec.frames).reshape(-1, spec.frames)
        slots = clips.reshape(-1, *slots.shape[1:])
    return SampleBatches(
        slots,
        index,
        labels,
        spec,
        training.batch,
        shuffle=True,
        seed=training.seed,
        devices=devices,
        augmentation=Augmentation() if settings.augment else None,
        weights=weights,
    )


def plain_batches(
    samples: Samples, chosen: npt.NDArray[np.int64], spec: ModelSpec, devices: int = 1
) -> SampleBatches:
    """Return batches of the chosen samples, int64 [n], unchanged and in order, for evaluation."""
    return SampleBatches(
        samples.slots,
        samples.index[chosen],
        samples.labels[chosen],
        spec,
        PLAIN_BATCH,
        shuffle=False,
        devices=devices,
    )
