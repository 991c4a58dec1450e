"""Training of a recipe's network on prepared face sequences."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console

from realtime.errors import KilasError
from realtime.spec import ModelSpec
from training.batches.sample_batches import plain_batches, training_batches
from training.batches.samples import Samples, read_samples
from training.batches.signal_runs import signal_runs
from training.batches.windows import WindowBatches, WindowSet, collect_windows
from training.datasets.classes import class_names
from training.evaluation.protocols import Fold, people
from training.models import architectures, devices
from training.models.training_loop import CHECKPOINT_FOLDER, FitResult, fit
from training.preparation.sequence_file import load_all_sequences, load_files, open_files
from training.provenance import commit, ensure_same_inputs, sha256_of, write_json
from training.recipe import Recipe, weights_from

RECORD_FILE = "training.json"
NETWORK_FILE = "model.keras"


def train(prepared: Sequence[Path], recipe: Recipe, out: Path, jobs: int = 1) -> Path:
    """Train the recipe's network; return the folder with `model.keras` and `training.json`.

    `prepared`: files of face sequences and folders of such files
    (`training.preparation.sequence_file`).

    Unless the recipe takes the best epoch, the weights are those of the last epoch: the held-out
    subjects choose nothing, so their metrics are honest. An interrupted run goes on from its last
    whole epoch, to the same weights as if it had not been interrupted.

    A finished run is not trained again. Raises KilasError when the data cannot train the recipe,
    the recipe's network cannot be built, the training diverges, or `out` holds a run of another
    recipe or other data.
    """
    console = Console()
    recipe = for_data(recipe, prepared)
    devices.make_deterministic(recipe.training.seed)
    keras.mixed_precision.set_dtype_policy(devices.precision())
    build_network(recipe)  # fails early if it cannot be built
    hashes = sorted(sha256_of(file.path) for file in open_files(prepared))
    ensure_same_inputs(out, weights_from(asdict(recipe)) | {"data": hashes})
    if (out / RECORD_FILE).exists():
        console.print(f"{out} is trained already.")
        return out
    trainer = _train_on_windows if recipe.windows else _train_on_samples
    network, record = trainer(prepared, recipe, out, jobs, console)
    network.save(out / NETWORK_FILE)
    record = {
        "recipe": asdict(recipe),
        "commit": commit(),
        **record,
    }
    record["data"] |= {"prepared": [path.name for path in prepared], "sha256": hashes}
    write_json(out / RECORD_FILE, record)  # written last: it marks the run as done
    shutil.rmtree(out / CHECKPOINT_FOLDER)
    return out


def for_data(recipe: Recipe, prepared: Sequence[Path]) -> Recipe:
    """Return the recipe with the labels that its classes have in these data."""
    if recipe.samples is None:
        return recipe
    files = list(load_files(prepared, recipe.spec))
    emotions = {emotion for file in files for emotion in file.table["emotion"] if emotion}
    datasets = dict.fromkeys(file.dataset for file in files)
    names = class_names(datasets, recipe.classes, emotions)
    return replace(recipe, spec=replace(recipe.spec, labels=names))


def build_network(recipe: Recipe) -> keras.Model:
    """Build the untrained network of a recipe, whose kernels follow from its seed.

    Raises KilasError when it cannot be built.
    """
    try:
        network = architectures.build(recipe.spec, **recipe.network)
    except (TypeError, ValueError) as error:
        raise KilasError(f"The recipe's network cannot be built: {error}") from error
    architectures.seed_kernels(network, recipe.training.seed)
    return network


def _train_on_windows(
    prepared: Sequence[Path],
    recipe: Recipe,
    out: Path,
    jobs: int,
    console: Console,
) -> tuple[keras.Model, dict[str, Any]]:
    """Train a model that spots; return the network and its entries of `training.json`."""
    spec, settings = recipe.spec, recipe.training
    assert recipe.windows is not None
    with console.status("computing the signal of all face sequences"):
        sequences = load_all_sequences(prepared, spec, recipe.classes)
        windows = collect_windows(signal_runs(sequences, spec, jobs), spec)
    held_out = held_out_subjects(windows.subjects, settings.validation_share, settings.seed)
    is_held_out = np.isin(windows.subjects, list(held_out))
    batches = WindowBatches(windows, ~is_held_out, spec, recipe.windows, settings)
    console.print(
        f"{len(windows.labels)} windows of {len(np.unique(windows.subjects))} subjects, "
        f"{len(held_out)} of them held out; labels {_counts_text(windows.labels, spec)}"
    )
    network, training = fitted(
        recipe, lambda network: fit(network, batches, settings, out, keep=True, console=console)
    )
    confusion = window_confusion(network, windows, np.flatnonzero(is_held_out), spec)
    console.print(pd.DataFrame(confusion, spec.labels, spec.labels).to_string())
    return network, {
        "data": {
            "subjects": len(np.unique(windows.subjects)),
            "slots": len(windows.signal),
        },
        "subjects": sorted(set(windows.subjects) - held_out),
        "held_out_subjects": sorted(held_out),
        "windows": class_counts(windows.labels[~is_held_out], spec),
        "held_out_confusion": confusion.tolist(),
        "loss": list(training.curves["loss"]),
    }


def _train_on_samples(
    prepared: Sequence[Path],
    recipe: Recipe,
    out: Path,
    jobs: int,
    console: Console,
) -> tuple[keras.Model, dict[str, Any]]:
    """Train a model that only recognises; return the network and its entries of `training.json`."""
    spec, settings = recipe.spec, recipe.training
    with console.status("reading the samples"):
        samples, left_out = read_samples(prepared, spec, recipe.classes, jobs)
    for reason in left_out:
        console.print(f"{reason.count} micro-expressions are left out: {reason.why}.")
    subjects = people(samples.table)
    if settings.validation_share and "" in subjects:
        raise KilasError(
            "Nobody can be held out, since the data do not name the subjects; set "
            "training.validation_share=0."
        )
    held_out = held_out_subjects(subjects, settings.validation_share, settings.seed)
    is_held_out = np.isin(subjects, list(held_out))
    count = len(np.unique(subjects))
    console.print(
        f"{len(samples)} samples of {count} subjects, {len(held_out)} of them held out; "
        f"labels {_counts_text(samples.labels, spec)}"
    )
    everyone = Fold(
        "all", np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out), np.empty(0, np.int64)
    )
    network, training = fit_samples(samples, everyone, recipe, out, keep=True, console=console)
    return network, {
        "data": {
            "subjects": count,
            "samples": len(samples),
            "held_slots": int(samples.table["held"].sum()),
        },
        "subjects": sorted(set(samples.table["subject"][~is_held_out])),
        "held_out_subjects": sorted(set(samples.table["subject"][is_held_out])),
        "samples": class_counts(samples.labels[~is_held_out], spec),
        "epoch": training.epoch,
        "loss": list(training.curves["loss"]),
    }


def fitted(
    recipe: Recipe, train: Callable[[keras.Model], FitResult]
) -> tuple[keras.Model, FitResult]:
    """Build a network of a recipe and train it with `train` on all devices of the machine.

    The returned network is on a single device.
    """
    with devices.all_devices():
        network = build_network(recipe)
        training = train(network)
    if devices.sharing() > 1:
        weights = network.get_weights()
        network = build_network(recipe)
        network.set_weights(weights)
    return network, training


def fit_samples(
    samples: Samples,
    fold: Fold,
    recipe: Recipe,
    folder: Path,
    *,
    keep: bool = False,
    console: Console,
) -> tuple[keras.Model, FitResult]:
    """Train on the training side of a fold; see `training.models.training_loop.fit`."""
    assert recipe.samples is not None
    spec, settings, sharing = recipe.spec, recipe.training, devices.sharing()
    batches = training_batches(samples, fold.train, spec, recipe.samples, settings, sharing)
    validation = (
        plain_batches(samples, fold.validation, spec, sharing) if len(fold.validation) else None
    )
    return fitted(
        recipe,
        lambda network: fit(
            network, batches, settings, folder, validation, keep=keep, console=console
        ),
    )


def class_counts(labels: npt.NDArray[np.int64], spec: ModelSpec) -> dict[str, int]:
    """Return the number of windows or samples of each label."""
    return {label: int((labels == number).sum()) for number, label in enumerate(spec.labels)}


def _counts_text(labels: npt.NDArray[np.int64], spec: ModelSpec) -> str:
    counts: Mapping[str, int] = class_counts(labels, spec)
    return ", ".join(f"{label} {count}" for label, count in counts.items())


def held_out_subjects(subjects: npt.NDArray[np.str_], share: float, seed: int) -> set[str]:
    """Draw the subjects that are not trained on, with the recipe's seed.

    There is at least one, but none for a share of 0.
    """
    names = np.unique(subjects)
    count = max(1, round(share * len(names))) if share else 0
    return set(np.random.default_rng(seed).permutation(names)[:count])


def window_confusion(
    network: keras.Model, windows: WindowSet, chosen: npt.NDArray[np.int64], spec: ModelSpec
) -> npt.NDArray[np.int64]:
    """Return the confusion of the chosen windows, int64 [C, C]: rows truth, columns prediction."""
    confusion = np.zeros((len(spec.labels), len(spec.labels)), np.int64)
    for part in np.array_split(chosen, max(1, len(chosen) // 256)):
        scores = network.predict_on_batch(windows.batch(part, spec.frames))
        np.add.at(confusion, (windows.labels[part], scores.argmax(axis=1)), 1)
    return confusion
