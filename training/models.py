"""The networks, written with Keras layers and `keras.ops` only, so that any backend trains them.

What the dissertation that describes TriplePath-HA3DNet states is fixed here: for each region a
path of its own with Conv3D (3 x 3 x 3, 32 filters, ReLU), MaxPooling3D, spatial attention,
temporal attention, Flatten, Dense (ReLU) and Dropout; then Concatenate and Softmax. Where it is
silent the values are named defaults, chosen so that one window takes 2 to 4 ms on one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from realtime.spec import ModelSpec, RegionLayout

ARCHITECTURE = "TriplePath-HA3DNet"

PATHS: dict[RegionLayout, tuple[str, ...]] = {
    "triple": ("left_upper", "right_upper", "lower"),
    "dual": ("upper", "lower"),
    "single": ("face",),
}
"""Names of the regions, in the order of `realtime.spec.LAYOUTS`; layers are named after them."""

FILTERS = 32  # stated by the dissertation
KERNEL = (3, 3, 3)  # stated by the dissertation

PADDING: Literal["valid", "same"] = "valid"
"""What Keras does unasked; "same" takes 1.4 times as long."""

TEMPORAL_POOL = 2  # slots; pooling is there to reduce space, so little is taken from time
POOLED_HEIGHT = 6
"""Cells of a region after pooling, from top to bottom. 30 nodes of motion (32 after a "valid"
convolution) divide by 6 without a rest, so no edge of a region is cut off."""

DENSE = 64  # units of a path; keeps the file of the motion model near 6 MB
DROPOUT = 0.5
ATTENTION_KERNEL = 3  # cells and slots that the attention looks at around each one

MOTION_CLIP_PX = 3.0
"""Micro-expressions move the skin by less than this; more is head motion or a failed flow."""

MOTION_SCALE_PX = 0.3
"""A network whose input is far from unit variance learns slowly; the motion of the training streams
has a standard deviation of 0.4 px, most of it in few nodes."""

GRAY_SCALE = 16.0  # gray levels; about what a clear micro-expression changes

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
"""`ModelSpec.normalisation` in words -> (what is subtracted, clip, divisor)."""


@keras.saving.register_keras_serializable("kilas")
class Normalise(layers.Layer):
    """Signal as it comes -> float32 around 0, as `words` (a key of NORMALISATIONS) say.

    Median and mean are taken over the slots of the window, for each pixel by itself. Z-score:
    mean and standard deviation of all pixels of a region in the window.
    """

    def __init__(self, words: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if words not in NORMALISATIONS:
            raise ValueError(f"normalisation must be one of {list(NORMALISATIONS)}, not {words!r}")
        self.words = words

    def call(self, signal: Any) -> Any:
        """`signal`: [N, T, R, H, W, C] -> float32 of the same shape."""
        centre, clip, divisor = NORMALISATIONS[self.words]
        x = ops.cast(signal, "float32")
        if centre == "median":
            x = x - _median(x)
        elif centre == "mean":
            x = x - ops.mean(x, axis=1, keepdims=True)
        elif centre == "z-score":
            x = x - _region_mean(x)
            x = x / ops.sqrt(_region_mean(ops.square(x)) + 1e-6)  # a flat region stays 0
        if clip is not None:
            x = ops.clip(x, -clip, clip)
        return x if divisor == 1.0 else x / divisor

    def compute_output_spec(self, signal: Any) -> keras.KerasTensor:
        return keras.KerasTensor(signal.shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "words": self.words}


def _median(x: Any) -> Any:
    """Median over the slots of [N, T, R, H, W, C], kept as one slot.

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
    """Pairs of places to be put in order, one after the other, to sort `count` values."""
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


def _region_mean(x: Any) -> Any:
    """Mean over slots, rows and columns, one after the other: a float32 sum over all of them at
    once is off by 1e-5 in ONNX Runtime."""
    for axis in (4, 3, 1):
        x = ops.mean(x, axis=axis, keepdims=True)
    return x


@keras.saving.register_keras_serializable("kilas")
class SpatialAttention(layers.Layer):
    """Where to look in each slot: features [N, T, H, W, F] -> weights [N, T, H, W, 1] in 0..1.

    The mean and the maximum over the features, a convolution in space, a sigmoid (the spatial
    half of CBAM, Woo et al. 2018, applied to each slot).
    """

    def __init__(self, kernel: int = ATTENTION_KERNEL, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel = kernel
        self.convolution = layers.Conv3D(
            1, (1, kernel, kernel), padding="same", activation="sigmoid", name="convolution"
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
    """When to look: features [N, T, H, W, F] -> weights [N, T, 1, 1, 1] in 0..1.

    The mean of each feature over space, a convolution over neighbouring slots (so that it sees
    change, not only level), a sigmoid.
    """

    def __init__(self, kernel: int = ATTENTION_KERNEL, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel = kernel
        self.convolution = layers.Conv1D(
            1, kernel, padding="same", activation="sigmoid", name="convolution"
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


class Mirror(layers.Layer):
    """The signal of the face seen in a mirror, as `training.train.mirror` makes it."""

    def __init__(self, spec: ModelSpec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec

    def call(self, signal: Any) -> Any:
        """`signal`: [N, T, R, H, W, C] -> the same shape and dtype."""
        x = signal[:, :, :, :, ::-1]
        if self.spec.region_layout == "triple":
            x = ops.stack([x[:, :, 1], x[:, :, 0], x[:, :, 2]], axis=2)
        if self.spec.signal == "motion":
            # As large as a slot: ONNX Runtime is slow to spread two numbers over a window.
            x = x * np.tile(np.array([-1.0, 1.0], np.float32), (*x.shape[2:-1], 1))
        return x

    def compute_output_spec(self, signal: Any) -> keras.KerasTensor:
        return keras.KerasTensor(signal.shape, dtype=signal.dtype)


def build(
    spec: ModelSpec,
    *,
    input_pool: int = 1,
    filters: int = FILTERS,
    second_filters: int = 0,
    kernel: tuple[int, int, int] = KERNEL,
    padding: Literal["valid", "same"] = PADDING,
    pool: tuple[int, int, int] | None = None,
    dense: int = DENSE,
    dropout: float = DROPOUT,
    attention_kernel: int = ATTENTION_KERNEL,
) -> keras.Model:
    """An untrained TriplePath-HA3DNet for `spec`: one path a region of its layout.

    Input `signal` [N, T, R, H, W, C]: uint8 for gray, float32 for motion, as in `Window`.
    Output `scores` float32 [N, labels]; each row sums to 1. `input_pool`: so many rows and
    columns of the signal are averaged to one first: motion is smooth, and noise is not.
    `pool`: (slots, rows, columns); by default `TEMPORAL_POOL` slots and square cells of which
    `POOLED_HEIGHT` fit in a region. `second_filters`: of a second convolution, between the pooling
    and the attention, which the dissertation does not have; 0: none.
    Raises ValueError when the spec names another architecture or a normalisation that is not
    in NORMALISATIONS, or a size is none.
    """
    if spec.architecture != ARCHITECTURE:
        raise ValueError(f"architecture must be {ARCHITECTURE!r}, not {spec.architecture!r}")
    sizes = {"input_pool": input_pool, "filters": filters, "dense": dense}
    for name, size in sizes.items():
        if type(size) is not int or size < 1:
            raise ValueError(f"{name} must be a whole number from 1 on, not {size!r}")
    if pool is None:
        lost = kernel[1] - 1 if padding == "valid" else 0
        height = spec.window_shape[2] // input_pool - lost
        side = max(1, height // POOLED_HEIGHT)
        pool = (min(TEMPORAL_POOL, spec.frames), side, side)

    signal = keras.Input(
        spec.window_shape, dtype="uint8" if spec.signal == "gray" else "float32", name="signal"
    )
    normal = Normalise(spec.normalisation, name="normalise")(signal)
    ends = []
    for index, path in enumerate(PATHS[spec.region_layout]):
        x = normal[:, :, index]
        if input_pool > 1:
            cell = (1, input_pool, input_pool)
            x = layers.AveragePooling3D(cell, name=f"average_{path}")(x)
        x = layers.Conv3D(
            filters, kernel, padding=padding, activation="relu", name=f"convolution_{path}"
        )(x)
        x = layers.MaxPooling3D(pool, name=f"pool_{path}")(x)
        if second_filters:
            x = layers.Conv3D(
                second_filters,
                kernel,
                padding=padding,
                activation="relu",
                name=f"second_convolution_{path}",
            )(x)
        where = SpatialAttention(attention_kernel, name=f"spatial_{path}")(x)
        x = layers.Multiply(name=f"attend_space_{path}")([x, where])
        when = TemporalAttention(attention_kernel, name=f"temporal_{path}")(x)
        x = layers.Multiply(name=f"attend_time_{path}")([x, when])
        x = layers.Flatten(name=f"flatten_{path}")(x)
        x = layers.Dense(dense, activation="relu", name=f"dense_{path}")(x)
        ends.append(layers.Dropout(dropout, name=f"dropout_{path}")(x))
    joined = layers.Concatenate(name="concatenate")(ends) if len(ends) > 1 else ends[0]
    scores = layers.Dense(len(spec.labels), activation="softmax", name="scores")(joined)
    return keras.Model(signal, scores, name="kilas")


def with_attention(model: keras.Model, spec: ModelSpec, *, both_sides: bool = False) -> keras.Model:
    """The same model (shared weights) with a second output, float32 [N, R, T', H', W']:
    the product of the spatial and the temporal weights of each path, in 0..1.

    `both_sides`: the scores are the mean of those of the face and of those of its mirror image,
    whose errors differ; the attention is that of the face.
    """
    maps = [
        ops.squeeze(
            model.get_layer(f"spatial_{path}").output * model.get_layer(f"temporal_{path}").output,
            axis=-1,
        )
        for path in PATHS[spec.region_layout]
    ]
    scores = model.output
    if both_sides:
        mirrored = Mirror(spec, name="mirror")(model.input)
        scores = layers.Average(name="both_sides")([scores, model(mirrored)])
    return keras.Model(model.input, [scores, ops.stack(maps, axis=1)])
