"""Layers of the networks that Keras does not have.

Written with Keras layers and `keras.ops` only, so that every back end trains them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from realtime.spec import ModelSpec

ATTENTION_KERNEL = 3  # side of the attention's kernels, in cells or slots

REDUCTION = 4
"""Features for each unit of a squeeze-and-excitation block's first layer.

16, which Hu et al. 2018 use where there are 256 features and more, would leave 2 units to 32
features.
"""

MOTION_CLIP_PX = 3.0
"""Limit of motion in pixels: micro-expressions move the skin by less; more is head motion or a
failed flow."""

MOTION_SCALE_PX = 0.3
"""Divisor of motion, in pixels, that brings it near unit variance.

A network whose input is far from unit variance learns slowly; the motion of the training sequences
has a standard deviation of 0.4 px, most of it in few nodes.
"""

GRAY_SCALE = 16.0  # gray levels; about what a clear micro-expression changes

REGION_AXES = (4, 3, 1)  # columns, rows and slots of a signal [N, T, R, H, W, C]

Centre = Literal["none", "median", "mean", "z-score"]

NORMALISATIONS: dict[str, tuple[Centre, float | None, float]] = {
    "clip to 3 px, divide by 0.3": ("none", MOTION_CLIP_PX, MOTION_SCALE_PX),
    "subtract the window's mean, clip to 3 px, divide by 0.3": (
        "mean",
        MOTION_CLIP_PX,
        MOTION_SCALE_PX,
    ),
    "divide by 255": ("none", None, 255.0),
    "subtract the window's median, divide by 16": ("median", None, GRAY_SCALE),
    "subtract the window's mean, divide by 16": ("mean", None, GRAY_SCALE),
    "z-score of the window": ("z-score", None, 1.0),
}
"""Subtracted value, clip and divisor of each normalisation, by `ModelSpec.normalisation`."""


@keras.saving.register_keras_serializable("kilas")
class Normalise(layers.Layer):
    """Layer that normalises a raw signal to float32 around 0, by `words`, a key of NORMALISATIONS.

    Median and mean are taken over the slots of the window, for each pixel by itself. Z-score:
    mean and standard deviation of all pixels of a region in the window. Always in float32,
    because nearly equal numbers are subtracted.
    """

    def __init__(self, words: str, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        if words not in NORMALISATIONS:
            raise ValueError(f"normalisation must be one of {list(NORMALISATIONS)}, not {words!r}")
        self.words = words

    def call(self, signal: Any) -> Any:
        """Normalise a signal [N, T, R, H, W, C] to float32 of the same shape."""
        centre, clip, divisor = NORMALISATIONS[self.words]
        x = ops.cast(signal, "float32")
        if centre == "median":
            x = x - _median(x)
        elif centre == "mean":
            x = x - ops.mean(x, axis=1, keepdims=True)
        elif centre == "z-score":
            x = x - _mean(x, REGION_AXES)
            variance = _mean(ops.square(x), REGION_AXES)
            x = x / ops.sqrt(variance + 1e-6)  # a flat region stays 0
        if clip is not None:
            x = ops.clip(x, -clip, clip)
        return x if divisor == 1.0 else x / divisor

    def compute_output_spec(self, signal: Any) -> keras.KerasTensor:
        return keras.KerasTensor(signal.shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "words": self.words}


def _median(x: Any) -> Any:
    """Return the median over the slots of [N, T, R, H, W, C], kept as one slot.

    The slots are sorted by a network of minima and maxima (Batcher's odd-even merge sort; Knuth,
    The Art of Computer Programming, 5.2.2 M): a sort operation takes 10 ms in ONNX Runtime.
    """
    count = x.shape[1]
    slots = [x[:, index : index + 1] for index in range(count)]
    for low, high in _comparators(count):
        slots[low], slots[high] = (
            ops.minimum(slots[low], slots[high]),
            ops.maximum(slots[low], slots[high]),
        )
    return 0.5 * (slots[(count - 1) // 2] + slots[count // 2])


def _comparators(count: int) -> Iterator[tuple[int, int]]:
    """Yield pairs of places to be put in order, one after the other, to sort `count` values."""
    block = 1
    while block < count:
        step = block
        while step >= 1:
            for start in range(step % block, count - step, 2 * step):
                for low in range(start, min(start + step, count - step)):
                    if low // (2 * block) == (low + step) // (2 * block):
                        yield low, low + step
            step //= 2
        block *= 2


def _mean(x: Any, axes: Iterable[int]) -> Any:
    """Return the mean over axes, which are kept, one after the other.

    A float32 sum over all of them at once is off by 1e-5 in ONNX Runtime.
    """
    for axis in axes:
        x = ops.mean(x, axis=axis, keepdims=True)
    return x


@keras.saving.register_keras_serializable("kilas")
class SpatialAttention(layers.Layer):
    """Weights of the places in each slot: features [N, T, H, W, F] -> [N, T, H, W, 1] in 0..1.

    The mean and the maximum over the features, a convolution in space, a sigmoid (the spatial
    half of CBAM, Woo et al. 2018, applied to each slot).
    """

    def __init__(self, kernel: int = ATTENTION_KERNEL, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel = kernel
        self.convolution = layers.Conv3D(
            1,
            (1, kernel, kernel),
            padding="same",
            activation="sigmoid",
            name="convolution",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.convolution.build((*input_shape[:-1], 2))
        self.built = True

    def call(self, features: Any) -> Any:
        summary = ops.concatenate(
            [ops.mean(features, axis=-1, keepdims=True), ops.max(features, axis=-1, keepdims=True)],
            axis=-1,
        )
        return self.convolution(summary)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel": self.kernel}


@keras.saving.register_keras_serializable("kilas")
class TemporalAttention(layers.Layer):
    """Weights of the slots: features [N, T, H, W, F] -> [N, T, 1, 1, 1] in 0..1.

    The mean of each feature over space, a convolution over neighbouring slots (so that it sees
    change, not only level), a sigmoid.
    """

    def __init__(self, kernel: int = ATTENTION_KERNEL, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel = kernel
        self.convolution = layers.Conv1D(
            1,
            kernel,
            padding="same",
            activation="sigmoid",
            name="convolution",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        batch, slots, _, _, features = input_shape
        self.convolution.build((batch, slots, features))
        self.built = True

    def call(self, features: Any) -> Any:
        weights = self.convolution(ops.mean(features, axis=(2, 3)))
        return ops.reshape(weights, (-1, features.shape[1], 1, 1, 1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:2], 1, 1, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel": self.kernel}


@keras.saving.register_keras_serializable("kilas")
class SqueezeExcitation(layers.Layer):
    """Weights of the features: features [N, ..., F] -> [N, 1, ..., 1, F] in 0..1.

    Squeeze: the mean of each feature over all slots, rows and columns; a vector [N, F] is its
    own mean. Excitation: Dense (F / `reduction` units, ReLU), Dense (F units, sigmoid) (Hu et al.
    2018).
    """

    def __init__(self, reduction: int = REDUCTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reduction = reduction

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = input_shape[-1]
        assert features is not None
        self.narrow = layers.Dense(
            max(1, features // self.reduction),
            activation="relu",
            name="narrow",
            dtype=self.dtype_policy,
        )
        self.wide = layers.Dense(
            features, activation="sigmoid", name="wide", dtype=self.dtype_policy
        )
        self.narrow.build(input_shape)
        self.wide.build((*input_shape[:-1], self.narrow.units))
        self.built = True

    def call(self, features: Any) -> Any:
        return self.wide(self.narrow(_mean(features, range(len(features.shape) - 2, 0, -1))))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], *(1 for _ in input_shape[1:-1]), input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reduction": self.reduction}


class Mirror(layers.Layer):
    """Layer that mirrors a signal as if the face were seen in a mirror.

    Left and right regions change places, and motion to the right becomes motion to the left. Always
    in the signal's own precision.
    """

    def __init__(self, spec: ModelSpec, **kwargs: Any) -> None:
        super().__init__(**kwargs, dtype="float32")
        self.spec = spec

    def call(self, signal: Any) -> Any:
        """Mirror a signal [N, T, R, H, W, C]; shape and dtype stay."""
        x = signal[:, :, :, :, ::-1]
        if self.spec.region_layout == "triple":
            x = ops.stack([x[:, :, 1], x[:, :, 0], x[:, :, 2]], axis=2)
        if self.spec.signal == "motion":
            # As large as a slot: ONNX Runtime is slow to spread two numbers over a window.
            x = x * np.tile(np.array([-1.0, 1.0], np.float32), (*x.shape[2:-1], 1))
        return x

    def compute_output_spec(self, signal: Any) -> keras.KerasTensor:
        return keras.KerasTensor(signal.shape, dtype=signal.dtype)
