"""Networks for one gray face: the three of the FER2013 paper, and KilasStill.

| architecture | described in | parameters with 8 outputs |
|---|---|---|
| StillCNN-A | the FER2013 paper, printed layer by layer | 2,679,592 |
| StillCNN-B | the FER2013 paper, by its number of parameters only | 10,714,696 |
| StillCNN-C | the FER2013 paper, by its number of parameters only | 4,968,072 |
| KilasStill | here | - |

The paper states only the number of parameters of B and C. B is A with twice the width everywhere;
C is a smaller stack of convolutions with one wide dense layer, as it is often used on these data.
Both have exactly the paper's number of parameters; it is not known if they are the paper's
networks.

The printed network has eight outputs, but the paper lists seven classes, those of FER2013, and does
not explain the eighth. In one place it names contempt (`penghinaan`), which FER2013 does not have,
among the classes with too few pictures; so the eighth may be contempt. With FER2013's labels no
picture is of an eighth class, and training only teaches such an output to be low. Here the networks
have as many outputs as there are labels, seven; `build` takes 8 as well, which gives the sizes in
the table.

Written with Keras layers and `keras.ops` only, so that every back end trains them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from realtime.errors import KilasError
from realtime.macro.model import FACE_PX

MIN_DEVIATION = 1.0  # gray levels; an even picture is not blown up to noise

SQUEEZE = 8  # channels for each unit of a squeeze-and-excitation block's first layer


@keras.saving.register_keras_serializable("kilas")
class StandardiseStill(layers.Layer):
    """Layer that normalises gray levels [N, H, W] to float32 [N, H, W, 1].

    `z-score of the face`: mean 0 and standard deviation 1 of each picture, so that neither the
    brightness nor the contrast of a camera matters. `divide by 255`: as the paper has it. Always
    in float32, because nearly equal numbers are subtracted.
    """

    def __init__(self, words: str, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        if words not in NORMALISATIONS:
            raise ValueError(f"normalisation must be one of {NORMALISATIONS}, not {words!r}")
        self.words = words

    def call(self, inputs: Any) -> Any:
        gray = ops.cast(inputs, "float32")[..., None]
        if self.words == "divide by 255":
            return gray / 255.0
        centred = gray - ops.mean(gray, axis=(1, 2, 3), keepdims=True)
        variance = ops.mean(centred * centred, axis=(1, 2, 3), keepdims=True)
        return centred / ops.sqrt(ops.maximum(variance, MIN_DEVIATION**2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "words": self.words}


NORMALISATIONS = ("z-score of the face", "divide by 255")


def build(architecture: str, outputs: int, normalisation: str, **network: Any) -> keras.Model:
    """Return an untrained network from gray levels to logits.

    Its input is `faces` [N, 48, 48], its output `logits` float32 [N, outputs]. `network`: arguments
    of the architecture. Raises KilasError for an architecture that is not in the table above, and
    for arguments that it does not have.

    Example:

        from training.macro.networks import build

        network = build("KilasStill", 7, "z-score of the face", dropout=0.3)
    """
    if architecture not in ARCHITECTURES:
        raise KilasError(
            f"There is no architecture {architecture}; there are {', '.join(ARCHITECTURES)}."
        )
    body = ARCHITECTURES[architecture]
    known = [name for name in inspect.signature(body).parameters if name != "x"]
    strange = sorted(network.keys() - set(known))
    if strange:
        raise KilasError(
            f"{architecture} has no {', '.join(strange)}; it has {', '.join(known) or 'none'}."
        )
    faces = layers.Input((FACE_PX, FACE_PX), name="faces")
    x = body(StandardiseStill(normalisation, name="standardise")(faces), **network)
    logits = layers.Dense(outputs, dtype="float32", name="logits")(x)
    return keras.Model(faces, logits, name=architecture)


def in_float32(network: keras.Model) -> keras.Model:
    """Return the same network in float32, whatever precision it was trained in."""
    config = network.get_config()
    for layer in config["layers"]:
        layer["config"]["dtype"] = "float32"
    copy: keras.Model = type(network).from_config(config)
    copy.set_weights(network.get_weights())
    return copy


def _plain_stack(
    x: Any, stages: tuple[tuple[int, ...], ...], dense: tuple[int, ...], dropout: float
) -> Any:
    """Add stages of 3x3 convolutions with ReLU, each ended by 2x2 pooling, then dense layers."""
    for filters in stages:
        for count in filters:
            x = layers.Conv2D(count, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    for units in dense:
        x = layers.Dense(units, activation="relu")(x)
        if dropout:
            x = layers.Dropout(dropout)(x)
    return x


def _still_cnn_a(x: Any, dropout: float = 0.0) -> Any:
    return _plain_stack(x, ((32, 32), (64, 64), (128, 128)), (512, 64), dropout)


def _still_cnn_b(x: Any, dropout: float = 0.0) -> Any:
    return _plain_stack(x, ((64, 64), (128, 128), (256, 256)), (1024, 128), dropout)


def _still_cnn_c(x: Any, dropout: float = 0.0) -> Any:
    return _plain_stack(x, ((32,), (64,), (128, 128)), (1024,), dropout)


def _kilas_still(
    x: Any,
    stem: int = 24,
    widths: tuple[int, ...] = (32, 64, 128, 192),
    blocks: tuple[int, ...] = (1, 2, 2, 1),
    dropout: float = 0.2,
) -> Any:
    """Add a small residual network (He et al., 2016) with squeeze and excitation (Hu et al., 2018).

    `stem`: filters at full size. Each of `widths` then halves the size and has its number of
    residual blocks from `blocks`; the mean over the picture comes last.
    """
    x = _convolution(x, stem)
    x = _convolution(x, widths[0], stride=2)
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for block in range(count):
            x = _residual(x, width, 2 if stage and not block else 1)
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dropout(dropout)(x)


def _residual(x: Any, width: int, stride: int) -> Any:
    y = _convolution(x, width, stride=stride)
    y = _convolution(y, width, activation=None)
    share = layers.GlobalAveragePooling2D(keepdims=True)(y)
    share = layers.Conv2D(max(4, width // SQUEEZE), 1, activation="relu")(share)
    share = layers.Conv2D(width, 1, activation="sigmoid")(share)
    y = layers.Multiply()([y, share])
    if stride != 1:
        x = layers.AveragePooling2D(stride)(x)
    if x.shape[-1] != width:
        x = _convolution(x, width, kernel=1, activation=None)
    return layers.ReLU()(layers.Add()([x, y]))


def _convolution(
    x: Any, filters: int, kernel: int = 3, stride: int = 1, activation: str | None = "relu"
) -> Any:
    x = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
    )(x)
    x = layers.BatchNormalization(momentum=0.95)(x)
    return layers.Activation(activation)(x) if activation else x


ARCHITECTURES: dict[str, Callable[..., Any]] = {
    "StillCNN-A": _still_cnn_a,
    "StillCNN-B": _still_cnn_b,
    "StillCNN-C": _still_cnn_c,
    "KilasStill": _kilas_still,
}
