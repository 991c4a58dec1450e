"""Batches of gray faces that a still-image network is trained and measured on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realtime.types import Float32Array
from training.batches.balancing import class_weights
from training.batches.prefetch import Batch, PrefetchedBatches
from training.macro.recipe import StillRecipe
from training.macro.stills import LABELS, PLAIN_BATCH, Stills


class StillBatches(PrefetchedBatches):
    """Batches of gray faces with their targets, and with weights where classes are weighted.

    Faces: float32 [B, 48, 48]. Targets: float32 [B, C], which sum to 1. Weights: float32 [B], only
    where the recipe balances classes by weights.
    """

    def __init__(
        self, stills: Stills, rows: npt.NDArray[np.int64], recipe: StillRecipe | None
    ) -> None:
        """Prepare batches of some of the stills.

        `rows`: int64 [n], indices of the pictures, which are augmented and mixed as the recipe
        says; without a recipe they come unchanged and in their order. Raises KilasError when a
        class that is to be weighted has no picture.
        """
        self._stills = stills
        self._recipe = recipe
        self._weights: Float32Array | None = None
        if recipe is not None and recipe.training.balance == "weights":
            self._weights = class_weights(stills.labels[rows], LABELS)
        shuffle = recipe is not None
        super().__init__(rows, shuffle=shuffle, seed=recipe.training.seed if recipe else 0)

    def __len__(self) -> int:
        size = PLAIN_BATCH if self._recipe is None else self._recipe.training.batch
        return -(-len(self._rows) // size)

    def _make(self, rows: npt.NDArray[np.int64], index: int, rng: np.random.Generator) -> Batch:
        chosen = np.array_split(rows, len(self))[index]
        images, labels = self._stills.images[chosen], self._stills.labels[chosen]
        targets = np.eye(len(LABELS), dtype=np.float32)[labels]
        if self._recipe is None:
            return images.astype(np.float32), targets
        if self._recipe.augmentation is not None:
            images = self._recipe.augmentation(images, rng)
        faces = images.astype(np.float32)
        mixup = self._recipe.training.mixup
        if mixup:
            other = rng.permutation(len(faces))
            share = rng.beta(mixup, mixup, len(faces)).astype(np.float32)
            faces = faces + share[:, None, None] * (faces[other] - faces)
            targets = targets + share[:, None] * (targets[other] - targets)
        if self._weights is None:
            return faces, targets
        return faces, targets, targets @ self._weights
