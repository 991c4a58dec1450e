"""What this machine trains on: one device or several, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import keras

HALF_PRECISION_CAPABILITY = (7, 0)
"""From this compute capability on, NVIDIA's cards have units for half precision (Volta)."""


def _gpus() -> list[str]:
    """Names of the graphics cards that the back end can use."""
    return [str(name) for name in keras.distribution.list_devices("gpu")]


def precision() -> str:
    """The Keras dtype policy from which this machine gains: mixed precision on graphics cards that
    have units for it, float32 on anything else."""
    if not _gpus():
        return "float32"
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        cards = tf.config.list_physical_devices("GPU")
        found = [
            tf.config.experimental.get_device_details(card).get("compute_capability", (0, 0))
            for card in cards
        ]
        return "mixed_float16" if min(found) >= HALF_PRECISION_CAPABILITY else "float32"
    return "mixed_bfloat16" if backend == "jax" else "float32"


def sharing() -> int:
    """How many devices share each batch: all graphics cards of the machine where there are several
    and TensorFlow is the back end, otherwise one."""
    return len(_gpus()) if _gpus() and keras.backend.backend() == "tensorflow" else 1


def all_devices() -> AbstractContextManager[object]:
    """Build and fit a network inside of this: every batch is then divided among the devices that
    are `sharing`. With one it changes nothing."""
    if sharing() == 1:
        return nullcontext()
    import tensorflow as tf

    scope: AbstractContextManager[object] = tf.distribute.MirroredStrategy(_gpus()).scope()
    return scope


def make_deterministic(seed: int) -> None:
    """The same seed gives the same weights from now on, on one back end and one kind of device."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
