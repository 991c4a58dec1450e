"""A short training of a small network with everything that draws at random.

`python -m support.training_loop FOLDER` trains slowly enough to be interrupted.
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from rich.console import Console

from training.batches.sample_batches import plain_batches, training_batches
from training.batches.samples import Samples
from training.models import devices
from training.models.architectures import build
from training.models.training_loop import FitResult, fit
from training.recipe import SampleSettings, TrainingSettings, load_recipe

SMALL = {
    **{"model.frames": 4, "model.lookahead": 2, "network.dense": 4, "network.input_pool": 4},
    **{"training.batch": 4, "training.epochs": 2},
}
RECIPE = load_recipe("triplepath-ha3dnet", SMALL)
EPOCHS = 4


def samples(count: int = 12) -> Samples:
    """Noise that is brighter in one class than in the next."""
    labels = np.arange(count) % 3
    slots = np.random.default_rng(0).integers(0, 200, (4 * count, 128, 128))
    bright = (slots + np.repeat(25 * labels, 4)[:, None, None]).astype(np.uint8)
    table = pd.DataFrame({"subject": [f"s{n}" for n in range(count)]})
    return Samples(bright, np.arange(4 * count).reshape(count, 4), labels, table)


def train(folder: Path, pause_s: float = 0.0, **changes: object) -> tuple[keras.Model, FitResult]:
    """Train on nine samples, and validate on three. `pause_s`: before each epoch."""
    settings = TrainingSettings(
        **{"epochs": EPOCHS, "batch": 4, "schedule": "cosine", **changes}  # type: ignore[arg-type]
    )
    devices.make_deterministic(settings.seed)
    network = build(RECIPE.spec, **RECIPE.network)
    data = samples()
    balanced = SampleSettings(augment=True, balance="weights")
    batches = training_batches(data, np.arange(9), RECIPE.spec, balanced, settings)
    if pause_s:
        start = batches.start
        batches.start = lambda epoch: (time.sleep(pause_s), start(epoch))[1]
    validation = plain_batches(data, np.arange(9, 12), RECIPE.spec)
    quiet = Console(file=io.StringIO())
    tf.config.run_functions_eagerly(True)  # so few steps take less time than their graph
    try:
        fitted = fit(network, batches, settings, folder, validation, keep=True, console=quiet)
    finally:
        tf.config.run_functions_eagerly(False)
    return network, fitted


if __name__ == "__main__":
    train(Path(sys.argv[1]), pause_s=0.3, validation_share=0.2, epoch="best")
