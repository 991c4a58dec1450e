"""A training step of every network, for comparing the back ends of Keras with each other.

KERAS_BACKEND=jax python tests/support/training_step.py OUT.npz
"""

from __future__ import annotations

import sys

import keras
import numpy as np
import numpy.typing as npt

from realtime.spec import ModelSpec
from training.models.architectures import NETWORKS, build, seed_dropout

LABELS = ("negative", "positive", "surprise")
LEARNING_RATE = 0.003  # the scores are quite different after one step, and no class has won


def spec_of(architecture: str) -> ModelSpec:
    """Gray where there are few pixels, and motion."""
    layout = NETWORKS[architecture].layout
    return ModelSpec(
        name="test",
        version="0",
        architecture=architecture,
        labels=LABELS,
        rate_hz=30.0,
        frames=6,
        region_layout=layout,
        signal="gray" if layout == "triple" else "motion",
        normalisation="subtract the window's median, divide by 16"
        if layout == "triple"
        else "clip to 3 px, divide by 0.3",
    )


def started(architecture: str, dropout: float) -> keras.Model:
    """A network whose weights do not depend on the back end."""
    network = build(spec_of(architecture), dropout=dropout)
    random = np.random.default_rng(1)
    shapes = [weight.shape for weight in network.weights]
    network.set_weights([random.normal(0, 0.5 * np.prod(s[:-1]) ** -0.5, s) for s in shapes])
    network.compile(keras.optimizers.SGD(LEARNING_RATE), "sparse_categorical_crossentropy")
    return network


def batch(architecture: str) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.int64]]:
    spec, random = spec_of(architecture), np.random.default_rng(2)
    shape = (4, *spec.window_shape)
    if spec.signal == "gray":
        return random.integers(0, 256, shape, np.uint8), random.integers(0, 3, 4)
    return random.normal(size=shape).astype(np.float32), random.integers(0, 3, 4)


def scores(network: keras.Model, signal: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    return keras.ops.convert_to_numpy(network(signal, training=False))


def one_step() -> dict[str, npt.NDArray[np.float32]]:
    """Scores of all networks before and after a step without dropout, and of one network after
    two epochs with dropout, trained once and once more."""
    found = {}
    for architecture in NETWORKS:
        signal, labels = batch(architecture)
        network = started(architecture, dropout=0.0)
        found[f"{architecture} before"] = scores(network, signal)
        network.train_on_batch(signal, labels)
        found[f"{architecture} after"] = scores(network, signal)
    for run in ("once", "once more"):
        signal, labels = batch("DP-3DNet")
        network = started("DP-3DNet", dropout=0.5)
        seeding = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, _, network=network: seed_dropout(network, 7, epoch)
        )
        network.fit(
            signal, labels, batch_size=2, epochs=2, callbacks=[seeding], verbose=0, shuffle=False
        )
        found[f"seeded {run}"] = scores(network, signal)
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **one_step())
