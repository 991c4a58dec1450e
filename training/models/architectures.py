"""Networks of the papers on which Kilas is built, each a row of stages as in the paper's figure.

| architecture | described in | regions |
|---|---|---|
| TriplePath-HA3DNet | the dissertation | left upper, right upper, lower |
| DP-3DNet, HA-3DNet, SE-3DNet, HA-3DSENet | the dual-path paper | upper, lower |
| MER-3DCNN | the 3DCNN framework paper | the whole face |

All that the papers state is fixed: the regions, the order of the stages, filters, kernels,
activations. All other values are named defaults, arguments of `build`. The defaults of
TriplePath-HA3DNet were chosen so that one window of motion takes 2 to 4 ms on one core; those of
the others follow it.

Written with Keras layers and `keras.ops` only, so that every back end trains them.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from realtime.spec import ModelSpec, RegionLayout
from training.models.layers import (
    ATTENTION_KERNEL,
    REDUCTION,
    Mirror,
    Normalise,
    SpatialAttention,
    SqueezeExcitation,
    TemporalAttention,
)

PATHS: dict[RegionLayout, tuple[str, ...]] = {
    "triple": ("left_upper", "right_upper", "lower"),
    "dual": ("upper", "lower"),
    "single": ("face",),
}
"""Names of the regions, in the order of `realtime.spec.LAYOUTS`; layers are named after them."""

FILTERS = 32
"""Filters of a convolution, stated by the dissertation but not by the dual-path paper of the same
authors."""

KERNEL = (3, 3, 3)
"""Slots, rows and columns of a convolution's kernel, stated by the dissertation.

The 3DCNN framework paper states 3 x 3, rows and columns; with one slot it would not be a
convolution in time.
"""

PADDING: Literal["valid", "same"] = "valid"
"""Padding of a convolution, by default as in Keras; "same" takes 1.4 times as long."""

TEMPORAL_POOL = 2  # slots; pooling is there to reduce space, so little is taken from time
POOLED_HEIGHT = 6
"""Cells of a region after pooling, from top to bottom.

30 nodes of motion (32 before a "valid" convolution) divide by 6 without a rest, so no edge of a
square region is cut off. Of gray 2 of 62 rows are, and of a region twice as wide up to 6 of 126
columns.
"""

SINGLE_FILTERS = 64  # stated by the 3DCNN framework paper
SINGLE_POOL = (2, 2)  # rows and columns; stated by the 3DCNN framework paper
POOLINGS = 4
"""Number of pooling layers of a single path.

The 3DCNN framework paper states only "pooling layers"; after 1 the dense layer would have 540 MB
for 16 slots of gray, after 4 it has 8 MB.
"""

DENSE = 64  # units of a path; keeps the file of the motion model near 6 MB
JOINED_DENSE = 64  # units after the concatenation; half of what two paths give
DROPOUT = 0.5
LARGEST_SEED = 10**9  # that Keras draws by itself

Stage = Callable[..., Any]
"""Function from features, the path's name and keyword arguments of its own to features."""


def average(x: Any, path: str, *, input_pool: int = 1) -> Any:
    """Average `input_pool` rows and columns of the signal to one.

    Motion is smooth, and noise is not. In none of the papers.
    """
    if input_pool == 1:
        return x
    return layers.AveragePooling3D((1, input_pool, input_pool), name=f"average_{path}")(x)


def convolution(x: Any, path: str, *, padding: Literal["valid", "same"] = PADDING) -> Any:
    """Apply Conv3D with ReLU."""
    return _convolution(x, FILTERS, padding, f"convolution_{path}")


def pooling(x: Any, path: str, *, pool: tuple[int, int, int] | None = None) -> Any:
    """Apply MaxPooling3D by `pool`: slots, rows, columns.

    By default `TEMPORAL_POOL` slots and square cells of which `POOLED_HEIGHT` fit in a region.
    """
    if pool is None:
        side = max(1, x.shape[2] // POOLED_HEIGHT)
        pool = (min(TEMPORAL_POOL, x.shape[1]), side, side)
    return _max_pooling(x, pool, f"pool_{path}")


def second_convolution(
    x: Any,
    path: str,
    *,
    second_filters: int = 0,
    padding: Literal["valid", "same"] = PADDING,
) -> Any:
    """Apply another Conv3D with ReLU, with `second_filters`; 0: none. In none of the papers."""
    if second_filters == 0:
        return x
    return _convolution(x, second_filters, padding, f"second_convolution_{path}")


def hybrid_attention(x: Any, path: str, *, attention_kernel: int = ATTENTION_KERNEL) -> Any:
    """Multiply the features by the weights of the places, then by the weights of the slots."""
    spatial = SpatialAttention(attention_kernel, name=f"spatial_{path}")(x)
    x = layers.Multiply(name=f"attend_space_{path}")([x, spatial])
    temporal = TemporalAttention(attention_kernel, name=f"temporal_{path}")(x)
    return layers.Multiply(name=f"attend_time_{path}")([x, temporal])


def squeeze_excitation(x: Any, path: str, *, reduction: int = REDUCTION) -> Any:
    """Multiply the features by their weights."""
    weights = SqueezeExcitation(reduction, name=f"excitation_{path}")(x)
    return layers.Multiply(name=f"excite_{path}")([x, weights])


def flatten(x: Any, path: str) -> Any:
    return layers.Flatten(name=f"flatten_{path}")(x)


def path_dense(x: Any, path: str, *, dense: int = DENSE) -> Any:
    return layers.Dense(dense, activation="relu", name=f"dense_{path}")(x)


def joined_dense(x: Any, path: str, *, joined_dense: int = JOINED_DENSE) -> Any:
    return layers.Dense(joined_dense, activation="relu", name=f"dense_{path}")(x)


def dropout(x: Any, path: str, *, dropout: float = DROPOUT) -> Any:
    # Without a given seed the layer would draw the same, but on PyTorch's back end, which knows
    # that it was not given, `seed_dropout` would have no effect.
    seed = random.randint(1, LARGEST_SEED) if dropout else None
    return layers.Dropout(dropout, seed=seed, name=f"dropout_{path}")(x)


def single_convolution(x: Any, path: str) -> Any:
    """Apply Conv3D with ReLU, padded so that 128 rows can be halved often without a rest."""
    return _convolution(x, SINGLE_FILTERS, "same", f"convolution_{path}")


def single_poolings(x: Any, path: str, *, poolings: int = POOLINGS) -> Any:
    """Apply MaxPooling3D `poolings` times; the first takes `TEMPORAL_POOL` slots, the others 1."""
    slots = min(TEMPORAL_POOL, x.shape[1])
    for number in range(1, poolings + 1):
        x = _max_pooling(x, (slots, *SINGLE_POOL), f"pool_{number}_{path}")
        slots = 1
    return x


def _max_pooling(x: Any, pool: tuple[int, int, int], name: str) -> Any:
    if any(size < reach for size, reach in zip(x.shape[1:4], pool, strict=True)):
        raise ValueError(f"{name} of {tuple(pool)} does not fit into {x.shape[1:4]}")
    return layers.MaxPooling3D(pool, name=name)(x)


def _convolution(x: Any, filters: int, padding: str, name: str) -> Any:
    sizes = zip(x.shape[1:4], KERNEL, strict=True)
    if padding == "valid" and any(size < reach for size, reach in sizes):
        raise ValueError(f"{name} has nothing left to look at; take a larger window")
    return layers.Conv3D(filters, KERNEL, padding=padding, activation="relu", name=name)(x)


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """Stages of a network.

    `path`: stages of each region of `layout` by itself; `joined`: stages of the paths after their
    concatenation. All networks end in a softmax over the labels.
    """

    layout: RegionLayout
    path: tuple[Stage, ...]
    joined: tuple[Stage, ...] = ()


NETWORKS: dict[str, NetworkEntry] = {
    "TriplePath-HA3DNet": NetworkEntry(
        "triple",
        path=(
            average,
            convolution,
            pooling,
            second_convolution,
            hybrid_attention,
            flatten,
            path_dense,
            dropout,
        ),
    ),
    "DP-3DNet": NetworkEntry(
        "dual",
        path=(average, convolution, pooling, flatten, path_dense, dropout),
        joined=(joined_dense, dropout),
    ),
    "HA-3DNet": NetworkEntry(
        "dual",
        path=(average, convolution, pooling, hybrid_attention, flatten, path_dense, dropout),
        joined=(joined_dense, dropout),
    ),
    "SE-3DNet": NetworkEntry(
        "dual",
        path=(average, convolution, pooling, squeeze_excitation, flatten, path_dense, dropout),
        joined=(joined_dense, dropout),
    ),
    "HA-3DSENet": NetworkEntry(
        "dual",
        path=(average, convolution, pooling, hybrid_attention, flatten, path_dense, dropout),
        joined=(squeeze_excitation, joined_dense, dropout),
    ),
    "MER-3DCNN": NetworkEntry(
        "single",
        path=(single_convolution, single_poolings, dropout, flatten, path_dense),
    ),
}
"""Stages of the networks by their names in `ModelSpec.architecture`."""


def build(spec: ModelSpec, **arguments: Any) -> keras.Model:
    """Build an untrained network of `spec.architecture`, a key of NETWORKS.

    Input `signal` [N, T, R, H, W, C]: uint8 for gray, float32 for motion, as in `Window`.
    Output `scores` float32 [N, labels]; each row sums to 1. `arguments`: keyword arguments of
    the network's stages, which explain them. Under a mixed precision policy of Keras the
    normalisation and the softmax stay in float32.

    Raises ValueError when there is no such architecture, it takes another layout of regions, the
    spec names a normalisation that is not in `training.models.layers.NORMALISATIONS`, or a size is
    invalid; TypeError when the network has no such argument.
    """
    if spec.architecture not in NETWORKS:
        raise ValueError(
            f"architecture must be one of {', '.join(NETWORKS)}, not {spec.architecture!r}"
        )
    network = NETWORKS[spec.architecture]
    if spec.region_layout != network.layout:
        raise ValueError(
            f"region_layout of {spec.architecture} must be {network.layout!r}, "
            f"not {spec.region_layout!r}"
        )
    _check(spec.architecture, arguments)

    def through(stages: Iterable[Stage], x: Any, path: str) -> Any:
        for stage in stages:
            x = stage(x, path, **{k: v for k, v in arguments.items() if k in _defaults(stage)})
        return x

    signal = keras.Input(
        spec.window_shape, dtype="uint8" if spec.signal == "gray" else "float32", name="signal"
    )
    normal = Normalise(spec.normalisation, name="normalise")(signal)
    ends = [
        through(network.path, normal[:, :, index], path)
        for index, path in enumerate(PATHS[network.layout])
    ]
    joined = layers.Concatenate(name="concatenate")(ends) if len(ends) > 1 else ends[0]
    joined = through(network.joined, joined, "joined")
    scores = layers.Dense(len(spec.labels), activation="softmax", dtype="float32", name="scores")
    return keras.Model(signal, scores(joined), name="kilas")


def _defaults(stage: Stage) -> dict[str, Any]:
    """Return the names and defaults of a stage's own arguments."""
    parameters = inspect.signature(stage).parameters.values()
    return {item.name: item.default for item in parameters if item.kind is item.KEYWORD_ONLY}


def _check(architecture: str, arguments: dict[str, Any]) -> None:
    network = NETWORKS[architecture]
    known: dict[str, Any] = {}
    for stage in (*network.path, *network.joined):
        known |= _defaults(stage)
    unknown = ", ".join(sorted(arguments.keys() - known.keys()))
    if unknown:
        raise TypeError(f"{architecture} has no {unknown}; it has {', '.join(sorted(known))}")
    for name, value in arguments.items():
        default = known[name]
        if type(default) is int:  # a size; where none is the default, none is allowed
            least = min(default, 1)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be a whole number from {least} on, not {value!r}")


def with_attention(model: keras.Model, spec: ModelSpec, *, both_sides: bool = False) -> keras.Model:
    """Return the same model (shared weights) with all outputs that the monitor can use.

    Networks with hybrid attention have a second output, float32 [N, R, T', H', W']: the product
    of the spatial and the temporal weights of each path, in 0..1; the others have only the scores.
    `both_sides`: the scores are the mean of those of the face and of those of its mirror image,
    whose errors differ; the attention is that of the face.
    """
    scores = model.output
    if both_sides:
        mirrored = Mirror(spec, name="mirror")(model.input)
        scores = layers.Average(dtype="float32", name="both_sides")([scores, model(mirrored)])
    outputs = [scores]
    network = NETWORKS[spec.architecture]
    if hybrid_attention in network.path:
        maps = [
            ops.squeeze(
                model.get_layer(f"spatial_{path}").output
                * model.get_layer(f"temporal_{path}").output,
                axis=-1,
            )
            for path in PATHS[network.layout]
        ]
        outputs.append(ops.cast(ops.stack(maps, axis=1), "float32"))
    return keras.Model(model.input, outputs)


def seed_kernels(network: keras.Model, seed: int) -> None:
    """Draw the kernels anew, as Keras does (Glorot and Bengio 2010, uniform), from `seed` alone.

    Keras takes its layers' seeds from Python's `random`, where other threads of the process, such
    as those of a Dask worker, draw as well.
    """
    kernels = [weight for weight in network.trainable_weights if weight.name == "kernel"]
    for number, kernel in enumerate(kernels):
        (key,) = np.random.SeedSequence([seed, number]).generate_state(1)
        kernel.assign(keras.initializers.GlorotUniform(seed=int(key) >> 2)(kernel.shape))


def seed_dropout(network: keras.Model, seed: int, epoch: int) -> None:
    """Draw the dropout masks of an epoch from `seed` and `epoch` alone, layer by layer.

    So an interrupted training goes on as if it had not been. To be called before the epoch's first
    batch. The masks are the same for two networks of the same architecture on the same back end of
    Keras; different back ends draw different masks.
    """
    found = [layer for layer in network.layers if isinstance(layer, layers.Dropout) and layer.rate]
    for number, layer in enumerate(found):
        (key,) = np.random.SeedSequence([seed, epoch, number]).generate_state(1)
        # (key, number of masks drawn); PyTorch's back end adds them up as int32.
        layer.seed_generator.state.assign([int(key) >> 2, 0])
