"""The training loop that all recipes share: progress, curves, checkpoints, choice of the epoch."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.models import seed_dropout
from training.recipe import TrainingSettings

HISTORY_FILE = "history.csv"
CHECKPOINT_FOLDER = "checkpoint"
LOGS_FOLDER = "logs"
BEST_FILE = "best.weights.h5"


class Batches(Protocol):
    """An epoch's batches: a `keras.utils.PyDataset` whose content follows from the epoch's number
    alone, so that an interrupted training goes on as if it had not been."""

    def __len__(self) -> int: ...
    def start(self, epoch: int) -> None:
        """Draw an epoch, counted from 0."""
        ...


@dataclass(frozen=True, slots=True)
class Fitted:
    """`history`: pandas, a row an epoch with `loss`, `accuracy` and, with validation, `val_loss`
    and `val_accuracy`. `epoch`: from 1, the one whose weights the network has."""

    history: pd.DataFrame
    epoch: int

    @property
    def curves(self) -> dict[str, tuple[float, ...]]:
        """The history's columns."""
        figures = self.history.drop(columns="epoch")
        return {str(name): tuple(map(float, figures[name])) for name in figures}


def fit(
    network: keras.Model,
    batches: Batches,
    settings: TrainingSettings,
    folder: Path,
    validation: Batches | None = None,
    *,
    keep: bool = False,
    console: Console,
) -> Fitted:
    """Train a network.

    With `keep`, `folder` gets a checkpoint after each epoch, from which an interrupted call goes
    on, and logs for TensorBoard. `console`: where to say how far it is.
    """
    steps = settings.epochs * len(batches)
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    network.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )

    def begin(epoch: int, _: object = None) -> None:
        batches.start(epoch)
        seed_dropout(network, settings.seed, epoch)

    callbacks: list[keras.callbacks.Callback] = [keras.callbacks.LambdaCallback(begin)]
    if settings.epoch == "best":
        callbacks.append(_BestEpoch(folder))
    callbacks.append(keras.callbacks.CSVLogger(str(folder / HISTORY_FILE), append=keep))
    if keep:
        callbacks.append(keras.callbacks.TensorBoard(str(folder / LOGS_FOLDER)))
        # Last: an epoch that it has kept is one that the others have written down.
        callbacks.append(
            keras.callbacks.BackupAndRestore(folder / CHECKPOINT_FOLDER, delete_checkpoint=False)
        )
    progress = _Progress(console, settings.epochs)
    try:
        network.fit(
            batches,
            validation_data=validation,
            epochs=settings.epochs,
            shuffle=False,  # the batches have an order of their own
            verbose=0,
            callbacks=[*callbacks, progress],
        )
    finally:
        progress.close()
    history = pd.read_csv(folder / HISTORY_FILE).drop_duplicates("epoch", keep="last")
    history = history.dropna(axis="columns", how="all")  # it has columns for validation anyway
    if settings.epoch == "best":
        network.load_weights(folder / BEST_FILE)
        return Fitted(history, int(history["val_loss"].argmin()) + 1)
    return Fitted(history, settings.epochs)


class _BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the lowest validation loss; the first one of equals."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def on_train_begin(self, logs: Any = None) -> None:
        history = self._folder / HISTORY_FILE
        is_new = not history.exists() or history.stat().st_size == 0
        self._lowest = math.inf if is_new else float(pd.read_csv(history)["val_loss"].min())

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        if logs["val_loss"] < self._lowest:
            self._lowest = logs["val_loss"]
            self.model.save_weights(self._folder / BEST_FILE)


class _Progress(keras.callbacks.Callback):
    """How far the training is and how long it will take; a line an epoch where there is no
    terminal."""

    def __init__(self, console: Console, epochs: int) -> None:
        super().__init__()
        self._console = console
        self._epochs = epochs
        self._first: int | None = None
        self._bar = Progress(
            "training",
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._task = self._bar.add_task("", total=epochs, figures="")

    def on_train_begin(self, logs: Any = None) -> None:
        self._began_s = time.monotonic()
        if self._console.is_terminal:
            self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._first is None:
            self._first = epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert self._first is not None
        figures = ", ".join(f"{name} {value:.3f}" for name, value in (logs or {}).items())
        self._bar.update(self._task, completed=epoch + 1, figures=figures)
        if not self._console.is_terminal:
            done, left = epoch + 1 - self._first, self._epochs - epoch - 1
            left_s = (time.monotonic() - self._began_s) / done * left
            self._console.print(
                f"epoch {epoch + 1} of {self._epochs}: {figures}; "
                f"{left_s // 60:.0f} min {left_s % 60:.0f} s left"
            )

    def close(self) -> None:
        self._bar.stop()
