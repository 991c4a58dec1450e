"""The training loop: the same weights however often it is interrupted, and the right epoch."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from realtime.errors import KilasError
from support.paths import PYTHON_PATH
from support.training_loop import EPOCHS, RECIPE, samples, train
from training.batches.sample_batches import plain_batches, training_batches
from training.models import devices
from training.models.architectures import build
from training.models.training_loop import CHECKPOINT_FOLDER, LOGS_FOLDER, fit
from training.recipe import SampleSettings, TrainingSettings


def distance(one: keras.Model, other: keras.Model) -> float:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return max(float(np.abs(a.astype(float) - b).max()) for a, b in pairs)


def epochs_kept(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in (folder / CHECKPOINT_FOLDER).glob("[0-9]*"))


@pytest.mark.timeout(300)
def test_a_training_that_was_killed_ends_in_the_same_weights(tmp_path: Path) -> None:
    settings = {"validation_share": 0.2, "epoch": "best"}
    whole, at_once = train(tmp_path / "whole", **settings)
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "support.training_loop", str(killed)],
        env=os.environ | PYTHON_PATH,
    )
    try:
        deadline = time.monotonic() + 120
        while not any(epoch >= 2 for epoch in epochs_kept(killed)):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert max(epochs_kept(killed)) < EPOCHS
    # As if it had been killed while it wrote the next epoch down.
    unfinished = killed / CHECKPOINT_FOLDER / ".unfinished"
    unfinished.mkdir(exist_ok=True)
    (unfinished / "last.weights.h5").write_bytes(b"half of it")
    again, gone_on = train(killed, **settings)
    assert gone_on.epoch == at_once.epoch
    assert distance(whole, again) == 0.0
    pd.testing.assert_frame_equal(at_once.history, gone_on.history)
    assert epochs_kept(killed) == [EPOCHS]


def test_a_training_that_diverges_is_told_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        KilasError, match=r"no number any more after epoch 1; lower training\.learn"
    ):
        train(tmp_path, learning_rate=1e30)


def test_another_seed_trains_other_weights(tmp_path: Path) -> None:
    one, _ = train(tmp_path / "1", epochs=1)
    other, _ = train(tmp_path / "2", epochs=1, seed=2)
    assert distance(one, other) > 0.01


def test_the_best_epoch_is_the_one_of_the_lowest_validation_loss(tmp_path: Path) -> None:
    # A rate at which it gets worse again.
    network, fitted = train(
        tmp_path, schedule="constant", learning_rate=0.03, validation_share=0.2, epoch="best"
    )
    losses = fitted.history["val_loss"]
    assert fitted.epoch == losses.argmin() + 1
    assert losses.nunique() == EPOCHS
    data = samples()
    (signal, labels) = plain_batches(data, np.arange(9, 12), RECIPE.spec)[0]
    scores = np.asarray(network(signal, training=False))
    found = -np.log(scores[np.arange(3), labels]).mean()
    assert found == pytest.approx(losses.min(), rel=1e-3)


def test_it_says_how_far_it_is_and_keeps_logs_for_tensorboard(tmp_path: Path) -> None:
    said = io.StringIO()
    settings = TrainingSettings(epochs=2, batch=4)
    network = build(RECIPE.spec, **RECIPE.network)
    batches = training_batches(
        samples(), np.arange(9), RECIPE.spec, SampleSettings(False, "none"), settings
    )
    fitted = fit(network, batches, settings, tmp_path, keep=True, console=Console(file=said))
    assert "epoch 2 of 2: accuracy" in said.getvalue()
    assert "left" in said.getvalue()
    assert list((tmp_path / LOGS_FOLDER).rglob("events.out.*"))
    assert set(fitted.curves) == {"loss", "accuracy"}


SEVERAL = """
import sys
from pathlib import Path
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from rich.console import Console
from training.models import devices
devices._gpus = lambda: ["cpu:0", "cpu:1"]  # stand-ins for two graphics cards
from support.training_loop import RECIPE, samples
from training.evaluation.protocols import Fold
from training.models.train import fit_samples
fold = Fold("one", np.arange(9), np.arange(9, 12), np.arange(0))
with devices.all_devices():
    assert tf.distribute.get_strategy().num_replicas_in_sync == 2
network, fitted = fit_samples(samples(), fold, RECIPE, Path(sys.argv[1]), console=Console())
assert len(fitted.history) == 2
assert np.isfinite(network.predict_on_batch(np.zeros((1, *RECIPE.spec.window_shape)))).all()
"""


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_several_devices_share_each_batch(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", SEVERAL, str(tmp_path)],
        env=os.environ | PYTHON_PATH,
        check=True,
    )


def test_without_a_graphics_card_all_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_gpus", list)
    assert devices.precision() == "float32"
