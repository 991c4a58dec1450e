"""Gray faces to the batches that a still-image network is trained and measured on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import keras
import numpy as np
import numpy.typing as npt

from realtime.types import Float32Array
from training.balance import class_weights
from training.macro.recipe import StillRecipe
from training.macro.stills import LABELS, Stills

PLAIN_BATCH = 256
"""Pictures of a batch that only measures: the figures do not depend on it."""

Batch = tuple[Float32Array, ...]
"""(faces, targets) or (faces, targets, weights)."""


class StillBatches(keras.utils.PyDataset):
    """Batches of gray faces float32 [B, 48, 48] with targets float32 [B, C] that sum to 1, and
    weights float32 [B] where classes are balanced by weights.

    The order of an epoch follows from the seed and its number, and how the pictures of a batch
    are varied and mixed from these and the batch's place; so an interrupted training goes on as
    if it had not been. `fit` has to be told `shuffle=False`.
    """

    def __init__(
        self, stills: Stills, rows: npt.NDArray[np.int64], recipe: StillRecipe | None
    ) -> None:
        """`rows`: int64 [n], those to learn from, as the recipe says; without a recipe they are
        given as they are and in their order. Raises KilasError when a class that is to be
        weighted has no picture."""
        super().__init__()
        self._stills = stills
        self._rows = rows
        self._recipe = recipe
        self._weights: Float32Array | None = None
        if recipe is not None and recipe.training.balance == "weights":
            self._weights = class_weights(stills.labels[rows], LABELS)
        self._maker = ThreadPoolExecutor(1)
        self._ahead: tuple[tuple[int, int], Future[Batch]] | None = None
        self.start(0)

    def __len__(self) -> int:
        size = PLAIN_BATCH if self._recipe is None else self._recipe.training.batch
        return -(-len(self._rows) // size)

    def start(self, epoch: int) -> None:
        """Draw an epoch, counted from 0."""
        order = self._rows
        if self._recipe is not None:
            seed = self._recipe.training.seed
            order = np.random.default_rng([seed, epoch]).permutation(order)
        self._epoch = (epoch, order)

    def __getitem__(self, index: int) -> Batch:
        """One batch; the next one is made meanwhile."""
        epoch, order = self._epoch
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == (epoch, index):
            batch = ahead[1].result()
        else:
            batch = self._make(epoch, order, index)
        if index + 1 < len(self):
            following = self._maker.submit(self._make, epoch, order, index + 1)
            self._ahead = ((epoch, index + 1), following)
        return batch

    def _make(self, epoch: int, order: npt.NDArray[np.int64], index: int) -> Batch:
        chosen = np.array_split(order, len(self))[index]
        images, labels = self._stills.images[chosen], self._stills.labels[chosen]
        targets = np.eye(len(LABELS), dtype=np.float32)[labels]
        if self._recipe is None:
            return images.astype(np.float32), targets
        settings = self._recipe.training
        # From 1 on: NumPy takes (seed, epoch, 0) for (seed, epoch), which draws the order.
        rng = np.random.default_rng([settings.seed, epoch, index + 1])
        if self._recipe.augmentation is not None:
            images = self._recipe.augmentation(images, rng)
        faces = images.astype(np.float32)
        if settings.mixup:
            other = rng.permutation(len(faces))
            share = rng.beta(settings.mixup, settings.mixup, len(faces)).astype(np.float32)
            faces = faces + share[:, None, None] * (faces[other] - faces)
            targets = targets + share[:, None] * (targets[other] - targets)
        if self._weights is None:
            return faces, targets
        return faces, targets, targets @ self._weights
