"""Devices and precision with which this machine trains."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import keras

HALF_PRECISION_CAPABILITY = (7, 0)
"""Least compute capability of NVIDIA's cards with units for half precision (Volta)."""


def _gpus() -> list[str]:
    """Return the names of the graphics cards that the back end can use."""
    return [str(name) for name in keras.distribution.list_devices("gpu")]


def precision() -> str:
    """Return the fastest Keras dtype policy for this machine.

    It is mixed precision on graphics cards that have units for it, float32 on anything else.
    """
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
    """Return the number of devices that share each batch.

    These are all graphics cards of the machine if TensorFlow is the back end; otherwise it is 1.
    """
    return len(_gpus()) if _gpus() and keras.backend.backend() == "tensorflow" else 1


def all_devices() -> AbstractContextManager[object]:
    """Return a context in which a network is built and fitted on all devices that are `sharing`.

    Every batch is then divided among them; with a single device nothing changes.
    """
    if sharing() == 1:
        return nullcontext()
    import tensorflow as tf

    scope: AbstractContextManager[object] = tf.distribute.MirroredStrategy(_gpus()).scope()
    return scope


def make_deterministic(seed: int) -> None:
    """Make training deterministic: on the same back end and kind of device, the same seed gives the
    same weights from now on."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
