"""Batches that are made ahead: the next batch while the network learns from the current one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Batch = tuple[npt.NDArray[Any], ...]
"""Inputs and targets, or inputs, targets and weights."""


class PrefetchedBatches(keras.utils.PyDataset, ABC):
    """Batches of an epoch whose order and variation follow from seed, epoch and place alone.

    So batches can be requested in any order and by any thread, and an interrupted training goes on
    as if it had not been; `start` sets the epoch. `fit` needs `shuffle=False`: its own order would
    follow from none of these.
    """

    def __init__(self, rows: npt.NDArray[np.int64], *, shuffle: bool, seed: int = 0) -> None:
        """Set the rows and the seed.

        `rows`: int64 [n], the rows that batches are made of, in a new order in each epoch if
        `shuffle`. `seed`: seed of that order and of all else that is drawn.
        """
        super().__init__()  # one worker: after those of several, Keras waits 0.1 s in each epoch
        self._rows = rows
        self._shuffle = shuffle
        self._seed = seed
        self._maker = ThreadPoolExecutor(1)
        self._ahead: tuple[tuple[int, int], Future[Batch]] | None = None
        self.start(0)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _make(self, rows: npt.NDArray[np.int64], index: int, rng: np.random.Generator) -> Batch:
        """Make the batch at a place of an epoch whose rows are in this order; `rng` is its own."""

    def start(self, epoch: int) -> None:
        """Draw an epoch, counted from 0."""
        rows = self._rows
        if self._shuffle:
            rows = np.random.default_rng([self._seed, epoch]).permutation(rows)
        self._epoch = (epoch, rows)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch and start to make the next.

        TensorFlow does not make batches ahead when it has to be deterministic.
        """
        epoch, rows = self._epoch
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == (epoch, index):
            batch = ahead[1].result()
        else:
            batch = self._at(epoch, rows, index)
        if index + 1 < len(self):
            self._ahead = (
                (epoch, index + 1),
                self._maker.submit(self._at, epoch, rows, index + 1),
            )
        return batch

    def _at(self, epoch: int, rows: npt.NDArray[np.int64], index: int) -> Batch:
        # From 1 on: NumPy takes (seed, epoch, 0) for (seed, epoch), which draws the order.
        return self._make(rows, index, np.random.default_rng([self._seed, epoch, index + 1]))
