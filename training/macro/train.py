"""Training of a still-image network on labelled gray faces, and calibration of its scores."""

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
    """Train the recipe's network and calibrate it; write both into the folder `out`.

    `out` gets `model.keras`, which gives logits, and `training.json`, which has the temperature and
    the number of pictures of each side. `data`: a file of `training.macro.stills`. The temperature
    is chosen on the protocol's validation part or, where it has none, on its test part;
    `training.json` states on which. An interrupted training continues with the next call; a
    finished training is not repeated. Raises KilasError when data or recipe do not fit, the
    training diverges, or `out` holds a run of another recipe or other data.

    Example:

        from pathlib import Path
        from training.macro.recipe import load_still_recipe
        from training.macro.train import train_still

        train_still(Path("fer2013.npz"), load_still_recipe("kilas-macro"), Path("run"))
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
    # The model file computes in float32, whatever the precision of the training.
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
    """Set the statistics of batch normalisation to those of the final weights on plain pictures.

    images: uint8 [n, 48, 48]. The statistics from the training are of the weights before the
    averaging, and of augmented pictures (Izmailov et al. 2018, "Averaging weights leads to wider
    optima and better generalization"). `seed`: seed of the pictures' order, which is random because
    files may be sorted by class, and a batch of one class has other statistics.
    """
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
            norm.momentum = number / (number + 1)  # the result is the mean over all batches
        network(images[rows].astype(np.float32), training=True)
    for dropout, rate in zip(dropouts, rates, strict=True):
        dropout.rate = rate
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def run(network: keras.Model, faces: UInt8Array, *, both_sides: bool) -> FloatArray:
    """Return the logits of gray faces and, with `both_sides`, of their mirror images.

    faces: uint8 [n, 48, 48]. Result: float64 [S, n, C], S = 2 with `both_sides`, else 1.
    """

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
