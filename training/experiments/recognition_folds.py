"""Folds of recognition networks: trained on some samples, tested on others."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

from realtime.spec import ModelSpec
from training.batches.sample_batches import plain_batches
from training.batches.samples import LeftOut, Samples, read_samples
from training.evaluation.protocols import Fold, people
from training.evaluation.results import FoldPart, FoldResult, Prediction
from training.models.train import class_counts, fit_samples
from training.recipe import Recipe


@functools.lru_cache(maxsize=1)
def samples_of(files: tuple[Path, ...], spec: str, classes: str) -> tuple[Samples, list[LeftOut]]:
    """Return what `read_samples` reads; the last result is kept for the next fold."""
    return read_samples(files, ModelSpec.from_json(spec), classes)


def recognise_fold(recipe: Recipe, samples: Samples, fold: Fold) -> FoldResult:
    """Train on the samples of one side of a fold and test on those of the other side."""
    spec = recipe.spec
    quiet = Console(quiet=True)
    with tempfile.TemporaryDirectory(prefix="kilas-") as folder:
        network, fitted = fit_samples(samples, fold, recipe, Path(folder), console=quiet)
    batches = plain_batches(samples, fold.test, spec)
    # Called, not `predict`ed: that would compile the network anew for these few batches.
    scores = np.concatenate(
        [keras.ops.convert_to_numpy(network(one[0], training=False)) for one in batches]
    )
    rows = samples.table.iloc[fold.test].to_dict("records")
    predictions = [
        Prediction(
            sample=int(sample),
            dataset=row["dataset"],
            subject=row["subject"],
            clip=row["clip"],
            label=row["label"],
            said=spec.labels[int(probabilities.argmax())],
            probabilities=tuple(map(float, probabilities)),
            is_copy=bool(row["is_copy"]),
        )
        for sample, row, probabilities in zip(fold.test, rows, scores, strict=True)
    ]
    train, validation, test = (
        FoldPart(
            samples=len(side),
            subjects=len(np.unique(people(samples.table.iloc[side]))),
            classes=class_counts(samples.labels[side], spec),
        )
        for side in (fold.train, fold.validation, fold.test)
    )
    return FoldResult(
        fold=fold.name,
        train=train,
        validation=validation,
        test=test,
        predictions=tuple(predictions),
        history=fitted.curves,
        epoch=fitted.epoch,
    )
