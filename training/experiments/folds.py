"""Training and testing of one fold, as a task that any process can run."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from realtime.spec import RegionLayout
from training.evaluation.protocols import Fold
from training.evaluation.results import FoldResult
from training.experiments.recognition_folds import recognise_fold, samples_of
from training.experiments.spotting_folds import load_sequences, spot_fold
from training.models import devices
from training.provenance import commit
from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class FoldTask:
    """Everything that a process needs to train and test one fold.

    `kept`: the file that its result is written to.
    """

    recipe: Recipe
    files: tuple[Path, ...]
    fold: Fold
    kept: Path

    def __str__(self) -> str:
        return f"{self.kept.parent.name}, fold {self.fold.name}"


def content_key(recipe: Recipe) -> tuple[str, str]:
    """Return the settings of a recipe that decide what is read from its files, as text."""
    spec = recipe.spec
    whole: RegionLayout = "single"  # gray samples are whole faces, cut when they are needed
    layout = whole if recipe.samples is not None and spec.signal == "gray" else spec.region_layout
    same = replace(
        spec, name="", version="", architecture="", normalisation="", region_layout=layout
    )
    return replace(same, provenance={}).to_json(), recipe.classes


def run_fold(task: FoldTask) -> FoldResult:
    """Train a network on one side of a fold and test it on the other."""
    began_s = time.monotonic()
    recipe, fold = task.recipe, task.fold
    keras.utils.clear_session()
    devices.make_deterministic(recipe.training.seed)
    keras.mixed_precision.set_dtype_policy(devices.precision())
    if recipe.samples is not None:
        result = recognise_fold(recipe, samples_of(task.files, *content_key(recipe))[0], fold)
    else:
        result = spot_fold(recipe, load_sequences(task.files, *content_key(recipe)), fold)
    return replace(result, seconds=time.monotonic() - began_s, commit=commit())
