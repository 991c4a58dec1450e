"""Labelled gray faces and a recipe to a trained still-image network that is calibrated."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console

from realtime.errors import KilasError
from realtime.types import FloatArray, UInt8Array
from training.macro.batches import StillBatches
from training.macro.calibration import best_temperature
from training.macro.networks import build, in_float32
from training.macro.recipe import StillRecipe
from training.macro.stills import LABELS, PLAIN_BATCH, in_parts, load_stills
from training.models import devices
from training.models.architectures import seed_kernels
from training.models.training_loop import CHECKPOINT_FOLDER, fit
from training.provenance import commit, ensure_same_inputs, sha256_of, write_json

NETWORK_FILE = "model.keras"
RECORD_FILE = "training.json"


def train_still(data: Path, recipe: StillRecipe, out: Path) -> None:
    """Train the recipe's network; `out` gets `model.keras`, which gives logits, and
    `training.json`, with the temperature and the number of pictures of each side.

    `data`: see `training.macro.stills`. The temperature is chosen on the protocol's validation
    part or, where it has none, on its test part, which the record says. An interrupted call goes
    on; a finished one is not repeated. Raises KilasError when data or recipe do not fit, the
    training diverges, or `out` holds a run of another recipe or other data.
    """
    console = Console()
    stills = load_stills(data)
    settings = recipe.training
    fold = stills.fold(settings.protocol, settings.seed, settings.validation_share)
    if settings.epoch == "best" and not len(fold.validation):
        raise KilasError(
            f"{settings.protocol} has no validation part in {data} to choose the epoch by; set "
            "training.epoch=last, or a training.validation_share where the protocol takes one."
        )
    devices.make_deterministic(settings.seed)
    precision = devices.precision() if settings.precision == "auto" else settings.precision
    keras.mixed_precision.set_dtype_policy(precision)
    network = build(recipe.architecture, len(LABELS), recipe.normalisation, **recipe.network)
    seed_kernels(network, settings.seed)
    made_from = {"recipe": asdict(recipe), "data": sha256_of(data)}
    ensure_same_inputs(out, made_from)
    if (out / RECORD_FILE).exists():
        console.print(f"{out} is trained already.")
        return
    side = "validation" if len(fold.validation) else "test"
    measured = getattr(fold, side)
    begun_at = commit()
    console.print(
        f"{network.count_params():,} parameters; {len(fold.train)} pictures to train on, "
        f"{len(fold.validation)} for validation, {len(fold.test)} for the test."
    )
    fitted = fit(
        network,
        StillBatches(stills, fold.train, recipe),
        settings,
        out,
        StillBatches(stills, measured, None),
        optimizer=_optimizer(recipe),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=settings.label_smoothing
        ),
        keep=True,
        console=console,
    )
    # As the model file will compute, whatever the precision of the training.
    network = in_float32(network)
    settle(network, stills.images[fold.train], settings.seed)
    logits = run(network, stills.images[measured], both_sides=recipe.both_sides)
    network.save(out / NETWORK_FILE)
    write_json(
        out / RECORD_FILE,
        {
            **made_from,
            "commit": begun_at,
            "labels": LABELS,
            "parameters": network.count_params(),
            "temperature": best_temperature(
                logits, stills.labels[measured], settings.label_smoothing
            ),
            "temperature_chosen_on": side,
            "pictures": {
                name: len(getattr(fold, name)) for name in ("train", "validation", "test")
            },
            "epoch": fitted.epoch,
            "curves": fitted.curves,
        },
    )
    shutil.rmtree(out / CHECKPOINT_FOLDER)


def settle(network: keras.Model, images: UInt8Array, seed: int) -> None:
    """Give batch normalisation the statistics that the weights have on pictures, uint8
    [n, 48, 48], as they are: those from the training are of weights before the averaging, and of
    varied pictures (Izmailov et al. 2018, "Averaging weights leads to wider optima and better
    generalization"). `seed`: of how they are mixed, since files may be sorted by class, and a batch
    of one class has other statistics."""
    norms = [one for one in network.layers if isinstance(one, keras.layers.BatchNormalization)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    dropouts = [one for one in network.layers if isinstance(one, keras.layers.Dropout)]
    rates = [dropout.rate for dropout in dropouts]
    for dropout in dropouts:
        dropout.rate = 0.0
    order = np.random.default_rng(seed).permutation(len(images))
    for number, rows in enumerate(np.array_split(order, -(-len(order) // PLAIN_BATCH))):
        for norm in norms:
            norm.momentum = number / (number + 1)  # so that it becomes the mean of all parts
        network(images[rows].astype(np.float32), training=True)
    for dropout, rate in zip(dropouts, rates, strict=True):
        dropout.rate = rate
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def run(network: keras.Model, faces: UInt8Array, *, both_sides: bool) -> FloatArray:
    """Logits float64 [S, n, C] of gray faces, uint8 [n, 48, 48], and, with `both_sides`, of their
    mirror images."""

    def logits(part: UInt8Array) -> FloatArray:
        return np.asarray(network.predict_on_batch(part.astype(np.float32)), np.float64)

    sides = [faces, faces[:, :, ::-1]] if both_sides else [faces]
    return np.stack([in_parts(logits, side) for side in sides])


def _optimizer(recipe: StillRecipe) -> Callable[[Any], keras.optimizers.Optimizer]:
    settings = recipe.training
    averaging = {"use_ema": True, "ema_momentum": settings.average} if settings.average else {}
    if settings.optimizer == "adam":
        return lambda rate: keras.optimizers.Adam(rate, **averaging)

    def sgd(rate: Any) -> keras.optimizers.Optimizer:
        optimizer = keras.optimizers.SGD(
            rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=settings.weight_decay or None,
            **averaging,
        )
        if settings.weight_decay:
            optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        return optimizer

    return sgd
