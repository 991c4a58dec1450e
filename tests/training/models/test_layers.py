"""The layers that Keras does not have, against NumPy twins."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training extra is not installed")

import keras
from keras.ops import convert_to_numpy

from training.models.layers import (
    NORMALISATIONS,
    Normalise,
    SpatialAttention,
    SqueezeExcitation,
    TemporalAttention,
)

Float32Array = npt.NDArray[np.float32]


def features(seed: int = 0) -> Float32Array:
    return np.random.default_rng(seed).normal(size=(2, 5, 4, 3, 6)).astype(np.float32)


def sigmoid(x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def half_precision() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def normalised(words: str, signal: npt.NDArray[np.generic]) -> npt.NDArray[np.floating]:
    """The twin of Normalise, from what its words say."""
    x = signal.astype(np.float64)
    if "median" in words:
        x = x - np.median(x, axis=1, keepdims=True)
    elif "mean" in words:
        x = x - x.mean(axis=1, keepdims=True)
    elif "z-score" in words:
        x = x - x.mean(axis=(1, 3, 4), keepdims=True)
        x = x / np.sqrt(x.var(axis=(1, 3, 4), keepdims=True) + 1e-6)
    if "clip to 3" in words:
        x = np.clip(x, -3, 3)
    *_, divisor = words.split("divide by ") if "divide by" in words else ("1",)
    return x / float(divisor)


@pytest.mark.parametrize("words", list(NORMALISATIONS))
@pytest.mark.parametrize("frames", [1, 4, 5, 16, 18])
def test_normalisation_does_what_its_words_say(words: str, frames: int) -> None:
    random = np.random.default_rng(2)
    gray = random.integers(0, 256, (2, frames, 3, 4, 5, 1), dtype=np.uint8)
    motion = random.normal(scale=3, size=(2, frames, 3, 4, 5, 2)).astype(np.float32)
    for signal in (gray, motion):
        found = convert_to_numpy(Normalise(words)(signal))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, normalised(words, signal), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("words", list(NORMALISATIONS))
def test_a_flat_window_stays_finite(words: str) -> None:
    flat = np.full((1, 4, 1, 3, 3, 1), 7, np.uint8)
    assert np.isfinite(convert_to_numpy(Normalise(words)(flat))).all()


def test_normalisation_is_never_in_half_precision(half_precision: None) -> None:
    # In bfloat16 1000.5 and 1001 are the same number.
    signal = np.full((1, 2, 1, 1, 1, 1), 1000.5, np.float32)
    signal[0, 1] = 1001
    found = convert_to_numpy(Normalise("subtract the window's mean, divide by 16")(signal))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), [-0.25 / 16, 0.25 / 16])


def test_spatial_attention_looks_at_each_slot_by_itself() -> None:
    layer, x = SpatialAttention(3), features()
    weights = convert_to_numpy(layer(x))
    assert weights.shape == (2, 5, 4, 3, 1) == layer.compute_output_shape(x.shape)
    kernel, bias = map(convert_to_numpy, layer.get_weights())
    summary = np.stack([x.mean(-1), x.max(-1)], axis=-1)
    padded = np.pad(summary, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    twin = sum(
        (padded[:, :, i : i + 4, j : j + 3] * kernel[0, i, j, :, 0]).sum(-1)
        for i in range(3)
        for j in range(3)
    )
    np.testing.assert_allclose(weights[..., 0], sigmoid(twin + bias), atol=1e-5)


def test_temporal_attention_weighs_whole_slots() -> None:
    layer, x = TemporalAttention(3), features()
    weights = convert_to_numpy(layer(x))
    assert weights.shape == (2, 5, 1, 1, 1) == layer.compute_output_shape(x.shape)
    kernel, bias = map(convert_to_numpy, layer.get_weights())
    padded = np.pad(x.mean(axis=(2, 3)), ((0, 0), (1, 1), (0, 0)))
    twin = sum(padded[:, i : i + 5] @ kernel[i, :, 0] for i in range(3))
    np.testing.assert_allclose(weights[:, :, 0, 0, 0], sigmoid(twin + bias), atol=1e-5)


@pytest.mark.parametrize("x", [features(), features()[:, 0, 0, 0]], ids=["maps", "vector"])
def test_squeeze_excitation_weighs_whole_features(x: Float32Array) -> None:
    layer = SqueezeExcitation(3)
    weights = convert_to_numpy(layer(x))
    assert weights.shape == (2, *[1] * (x.ndim - 2), 6) == layer.compute_output_shape(x.shape)
    narrow, narrow_bias, wide, wide_bias = map(convert_to_numpy, layer.get_weights())
    assert narrow.shape == (6, 2)
    squeezed = x.reshape(2, -1, 6).mean(axis=1)
    twin = sigmoid(np.maximum(squeezed @ narrow + narrow_bias, 0) @ wide + wide_bias)
    np.testing.assert_allclose(weights.reshape(2, 6), twin, atol=1e-5)


def test_few_features_are_squeezed_to_one_at_least() -> None:
    layer = SqueezeExcitation(16)
    layer(features())
    assert layer.get_weights()[0].shape == (6, 1)


@pytest.mark.parametrize("layer", [SpatialAttention(5), TemporalAttention(5), SqueezeExcitation(2)])
def test_layers_come_back_from_their_configuration(
    layer: SpatialAttention | TemporalAttention | SqueezeExcitation,
) -> None:
    x = features()
    layer(x)
    again = type(layer).from_config(layer.get_config())
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(convert_to_numpy(again(x)), convert_to_numpy(layer(x)))


@pytest.mark.parametrize("layer", [SpatialAttention, TemporalAttention, SqueezeExcitation])
def test_layers_compute_in_their_own_precision(
    half_precision: None,
    layer: type[SpatialAttention | TemporalAttention | SqueezeExcitation],
) -> None:
    x = features()
    assert keras.backend.standardize_dtype(layer()(x).dtype) == "bfloat16"
    exact = layer(dtype="float32")
    assert keras.backend.standardize_dtype(exact(x).dtype) == "float32"
