"""Batches that are made ahead: the next one while the network learns from this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Batch = tuple[npt.NDArray[Any], ...]
"""(inputs, targets) or (inputs, targets, weights)."""


class PrefetchedBatches(keras.utils.PyDataset, ABC):
    """Batches of an epoch whose order and variation follow from seed, epoch and place alone.

    So batches can be asked for in any order and by any thread, and an interrupted training goes
    on as if it had not been; `start` says which epoch it is. `fit` has to be told
    `shuffle=False`: it would ask in an order of its own, which follows from none of these.
    """

    def __init__(self, rows: npt.NDArray[np.int64], *, shuffle: bool, seed: int = 0) -> None:
        """`rows`: int64 [n], what is given out, in a new order in each epoch if `shuffle`.
        `seed`: of that order and of all else that is drawn."""
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
        """The batch at a place of an epoch whose rows are in this order; `rng` is its own."""

    def start(self, epoch: int) -> None:
        """Draw an epoch, counted from 0."""
        rows = self._rows
        if self._shuffle:
            rows = np.random.default_rng([self._seed, epoch]).permutation(rows)
        self._epoch = (epoch, rows)

    def __getitem__(self, index: int) -> Batch:
        """One batch; the next one is made meanwhile, since TensorFlow does not look ahead when it
        has to be deterministic."""
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
