"""Training loop of all recipes, with progress, curves, checkpoints and choice of the epoch."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from realtime.errors import KilasError
from training.models.architectures import seed_dropout
from training.recipe import TrainingSettings

CHECKPOINT_FOLDER = "checkpoint"
HISTORY_FILE = "history.csv"
WEIGHTS_FILE = "last.weights.h5"
BEST_FILE = "best.npz"
LOGS_FOLDER = "logs"


class Batches(Protocol):
    """Batches of an epoch: a `keras.utils.PyDataset` whose content follows from the epoch's number.

    So an interrupted training goes on as if it had not been.
    """

    def __len__(self) -> int: ...
    def start(self, epoch: int) -> None:
        """Draw an epoch, counted from 0."""
        ...


@dataclass(frozen=True, slots=True)
class FitResult:
    """Result of a training.

    `history`: pandas, a row for each epoch with `loss`, `accuracy` and, with validation, `val_loss`
    and `val_accuracy`. `epoch`: number, from 1, of the epoch whose weights the network has.
    """

    history: pd.DataFrame
    epoch: int

    @property
    def curves(self) -> dict[str, tuple[float, ...]]:
        """Values of each column of the history, by its name."""
        metrics = self.history.drop(columns="epoch")
        return {str(name): tuple(map(float, metrics[name])) for name in metrics}


def fit(
    network: keras.Model,
    batches: Batches,
    settings: TrainingSettings,
    folder: Path,
    validation: Batches | None = None,
    *,
    optimizer: Callable[[Any], keras.optimizers.Optimizer] = keras.optimizers.Adam,
    loss: keras.losses.Loss | None = None,
    keep: bool = False,
    console: Console,
) -> FitResult:
    """Train a network.

    `optimizer`: made with the learning rate, or its schedule; `loss`: cross-entropy with the
    numbers of the classes, unless another loss is given. With `keep`, `folder` gets a checkpoint
    after each epoch, from which an interrupted call goes on, and logs for TensorBoard. `console`:
    place where the progress is shown.

    Raises KilasError when the training diverges.
    """
    steps = settings.epochs * len(batches)
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    network.compile(
        optimizer=optimizer(rate),
        loss=loss or keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )

    def begin(epoch: int, _: object = None) -> None:
        batches.start(epoch)
        seed_dropout(network, settings.seed, epoch)

    record = _Record(folder, settings, keep)
    begun = record.restore(network)
    callbacks: list[keras.callbacks.Callback] = [keras.callbacks.LambdaCallback(begin), record]
    if keep:
        callbacks.append(keras.callbacks.TensorBoard(str(folder / LOGS_FOLDER)))
    progress = _Progress(console, settings.epochs)
    try:
        network.fit(
            batches,
            validation_data=validation,
            initial_epoch=begun,
            epochs=settings.epochs,
            shuffle=False,  # the batches have an order of their own
            verbose=0,
            callbacks=[*callbacks, progress],
        )
    finally:
        progress.close()
    if record.best is None:
        return FitResult(record.history, settings.epochs)
    network.set_weights(record.best)
    return FitResult(record.history, int(record.history["val_loss"].argmin()) + 1)


class _Record(keras.callbacks.Callback):
    """Record of the epochs so far: their metrics, and the best epoch's weights if the settings need
    them.

    With `keep`, all that is needed to go on is in a folder for each epoch, which appears under its
    name only when it is complete; only the last is kept.
    """

    def __init__(self, folder: Path, settings: TrainingSettings, keep: bool) -> None:
        super().__init__()
        self.history = pd.DataFrame()
        self.best: list[npt.NDArray[Any]] | None = None
        self._wants_best = settings.epoch == "best"
        self._checkpoints = folder / CHECKPOINT_FOLDER if keep else None

    def restore(self, network: keras.Model) -> int:
        """Restore a network from an interrupted training; return the number of its whole epochs."""
        kept = self._kept()
        if not kept:
            return 0
        network.optimizer.build(network.trainable_variables)  # or its state would not be read
        network.load_weights(kept[-1] / WEIGHTS_FILE)
        self.history = pd.read_csv(kept[-1] / HISTORY_FILE)
        if self._wants_best:
            with np.load(kept[-1] / BEST_FILE, allow_pickle=False) as held:
                self.best = [held[name] for name in held.files]
        return len(self.history)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        if not all(map(math.isfinite, metrics.values())):
            raise KilasError(
                f"The loss is no number any more after epoch {epoch + 1}; lower "
                "training.learning_rate."
            )
        row = pd.DataFrame([{"epoch": epoch, **metrics}])
        self.history = pd.concat([self.history, row], ignore_index=True)
        if self._wants_best and self.history["val_loss"].argmin() == epoch:
            self.best = self.model.get_weights()
        if self._checkpoints is not None:
            self._keep(self._checkpoints, epoch + 1)

    def _keep(self, checkpoints: Path, epochs: int) -> None:
        before = self._kept()
        unfinished = checkpoints / ".unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        self.model.save_weights(unfinished / WEIGHTS_FILE)
        self.history.to_csv(unfinished / HISTORY_FILE, index=False)
        if self.best is not None:
            np.savez(unfinished / BEST_FILE, *self.best)
        unfinished.rename(checkpoints / f"{epochs:05d}")
        for folder in before:
            shutil.rmtree(folder)

    def _kept(self) -> list[Path]:
        """Return the folders of whole epochs, in order."""
        if self._checkpoints is None:
            return []
        return sorted(self._checkpoints.glob("[0-9]*"))


class _Progress(keras.callbacks.Callback):
    """Display of the training's progress and the time left; a line an epoch without a terminal."""

    def __init__(self, console: Console, epochs: int) -> None:
        super().__init__()
        self._console = console
        self._epochs = epochs
        self._first: int | None = None
        self._bar = Progress(
            "training",
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._task = self._bar.add_task("", total=epochs, metrics="")

    def on_train_begin(self, logs: Any = None) -> None:
        self._began_s = time.monotonic()
        if self._console.is_terminal:
            self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._first is None:
            self._first = epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert self._first is not None
        metrics = ", ".join(f"{name} {value:.3f}" for name, value in (logs or {}).items())
        self._bar.update(self._task, completed=epoch + 1, metrics=metrics)
        if not self._console.is_terminal:
            done, left = epoch + 1 - self._first, self._epochs - epoch - 1
            left_s = (time.monotonic() - self._began_s) / done * left
            self._console.print(
                f"epoch {epoch + 1} of {self._epochs}: {metrics}; "
                f"{left_s // 60:.0f} min {left_s % 60:.0f} s left"
            )

    def close(self) -> None:
        self._bar.stop()
