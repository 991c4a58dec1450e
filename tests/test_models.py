"""The networks: the structure that the dissertation states, and layers against NumPy twins."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from realtime.spec import LAYOUTS, ModelSpec, RegionLayout, Signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training extra is not installed")

import keras

from training.models import (
    ARCHITECTURE,
    NORMALISATIONS,
    PATHS,
    Normalise,
    SpatialAttention,
    TemporalAttention,
    build,
    with_attention,
)

Float32Array = npt.NDArray[np.float32]

MEGABYTE = 1_000_000
LARGEST_FILE_BYTES = 16 * MEGABYTE  # what a model that ships may weigh
BYTES_PER_WEIGHT = 4

NORMALISED = {
    "gray": "subtract the window's median, divide by 16",
    "motion": "clip to 3 px, divide by 0.3",
}


def make_spec(signal: Signal = "motion", layout: RegionLayout = "triple") -> ModelSpec:
    return ModelSpec(
        name="test",
        version="0",
        architecture=ARCHITECTURE,
        labels=("none", "negative", "positive", "surprise"),
        rate_hz=30.0,
        frames=16,
        region_layout=layout,
        signal=signal,
        normalisation=NORMALISED[signal],
    )


def windows(spec: ModelSpec, batch: int = 2) -> npt.NDArray[np.generic]:
    random = np.random.default_rng(1)
    shape = (batch, *spec.window_shape)
    if spec.signal == "gray":
        return random.integers(0, 256, shape, dtype=np.uint8)
    return random.normal(size=shape).astype(np.float32)


def features(seed: int = 0) -> Float32Array:
    return np.random.default_rng(seed).normal(size=(2, 5, 4, 3, 6)).astype(np.float32)


def sigmoid(x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return 1 / (1 + np.exp(-x))


# --- the whole ---


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("signal", ["gray", "motion"])
def test_every_layout_and_signal_gives_probabilities(signal: Signal, layout: RegionLayout) -> None:
    spec = make_spec(signal, layout)
    model = build(spec)
    assert model.input.name == "signal"
    assert model.input.dtype == ("uint8" if signal == "gray" else "float32")
    scores = np.asarray(model(windows(spec)))
    assert scores.shape == (2, 4)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert model.count_params() * BYTES_PER_WEIGHT < LARGEST_FILE_BYTES


def test_structure_is_the_one_of_the_dissertation() -> None:
    model = build(make_spec())
    for path in ("left_upper", "right_upper", "lower"):
        convolution = model.get_layer(f"convolution_{path}")
        assert isinstance(convolution, keras.layers.Conv3D)
        assert (convolution.filters, convolution.kernel_size) == (32, (3, 3, 3))
        assert convolution.activation is keras.activations.relu
        names = [layer.name for layer in model.layers if layer.name.endswith(path)]
        assert names == [
            f"{stage}_{path}"
            for stage in (
                "convolution",
                "pool",
                "spatial",
                "attend_space",
                "temporal",
                "attend_time",
                "flatten",
                "dense",
                "dropout",
            )
        ]
        assert model.get_layer(f"dense_{path}").activation is keras.activations.relu
    assert [layer.name for layer in model.layers[-2:]] == ["concatenate", "scores"]
    assert model.get_layer("scores").activation is keras.activations.softmax


def test_each_path_sees_its_own_region_only() -> None:
    spec = make_spec()
    model = build(spec, filters=2, dense=3)
    signal = windows(spec, 1)
    changed = signal.copy()
    changed[:, :, 1] += 1
    ends = keras.Model(model.input, [model.get_layer(f"dense_{p}").output for p in PATHS["triple"]])
    before, after = ends(signal), ends(changed)
    same = [
        np.array_equal(np.asarray(b), np.asarray(a)) for b, a in zip(before, after, strict=True)
    ]
    assert same == [True, False, True]


def test_attention_is_the_product_of_where_and_when() -> None:
    spec = make_spec()
    model = build(spec, filters=2, dense=3)
    signal = windows(spec)
    scores, attention = with_attention(model, spec)(signal)
    np.testing.assert_array_equal(np.asarray(scores), np.asarray(model(signal)))
    assert attention.shape == (2, 3, 7, 6, 6)
    layers = [model.get_layer(f"{kind}_lower").output for kind in ("spatial", "temporal")]
    where, when = map(np.asarray, keras.Model(model.input, layers)(signal))
    np.testing.assert_allclose(np.asarray(attention)[:, 2], (where * when)[..., 0], atol=1e-6)


def test_model_survives_saving(tmp_path: Path) -> None:
    spec = make_spec("gray")
    model = build(spec, filters=2, dense=3, attention_kernel=5)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    signal = windows(spec)
    np.testing.assert_array_equal(np.asarray(again(signal)), np.asarray(model(signal)))
    assert again.get_layer("normalise").words == spec.normalisation
    for before, after in zip(
        with_attention(model, spec)(signal), with_attention(again, spec)(signal), strict=True
    ):
        np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


def test_it_learns_when_and_where_something_moved() -> None:
    keras.utils.set_random_seed(0)
    spec = dataclasses.replace(make_spec(), labels=("none", "moved"))
    random = np.random.default_rng(0)
    signal = random.normal(scale=0.05, size=(48, *spec.window_shape)).astype(np.float32)
    moved = np.arange(48) % 2
    signal[moved == 1, 6:10, 2, 10:22, 10:22, 1] += 1.0
    model = build(spec, filters=4, dense=8, dropout=0.0)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(signal, moved, batch_size=16, epochs=8, verbose=0)
    assert (np.asarray(model(signal)).argmax(axis=1) == moved).all()


def test_wrong_specs_are_refused() -> None:
    with pytest.raises(ValueError, match="architecture must be 'TriplePath-HA3DNet', not 'other'"):
        build(dataclasses.replace(make_spec(), architecture="other"))
    with pytest.raises(ValueError, match="normalisation must be one of"):
        build(dataclasses.replace(make_spec(), normalisation="as you like"))


# --- the layers ---


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
        found = np.asarray(Normalise(words)(signal))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, normalised(words, signal), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("words", list(NORMALISATIONS))
def test_a_flat_window_stays_finite(words: str) -> None:
    flat = np.full((1, 4, 1, 3, 3, 1), 7, np.uint8)
    assert np.isfinite(np.asarray(Normalise(words)(flat))).all()


def test_spatial_attention_looks_at_each_slot_by_itself() -> None:
    layer, x = SpatialAttention(3), features()
    weights = np.asarray(layer(x))
    assert weights.shape == (2, 5, 4, 3, 1) == layer.compute_output_shape(x.shape)
    kernel, bias = map(np.asarray, layer.get_weights())
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
    weights = np.asarray(layer(x))
    assert weights.shape == (2, 5, 1, 1, 1) == layer.compute_output_shape(x.shape)
    kernel, bias = map(np.asarray, layer.get_weights())
    padded = np.pad(x.mean(axis=(2, 3)), ((0, 0), (1, 1), (0, 0)))
    twin = sum(padded[:, i : i + 5] @ kernel[i, :, 0] for i in range(3))
    np.testing.assert_allclose(weights[:, :, 0, 0, 0], sigmoid(twin + bias), atol=1e-5)


@pytest.mark.parametrize("layer", [SpatialAttention(5), TemporalAttention(5)])
def test_attention_layers_come_back_from_their_configuration(
    layer: SpatialAttention | TemporalAttention,
) -> None:
    x = features()
    layer(x)
    again = type(layer).from_config(layer.get_config())
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(np.asarray(again(x)), np.asarray(layer(x)))
