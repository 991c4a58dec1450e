"""Keras -> ONNX: the file is whole, says what it is, and gives what Keras gives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from realtime.errors import ModelError
from realtime.inference.model import Model
from realtime.onnx_runtime import onnxruntime
from realtime.spec import ModelSpec, Signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training extra is not installed")
pytest.importorskip("onnx", reason="the training extra is not installed")

import onnx

from training.batches.augmentation import mirror
from training.models import architectures
from training.models import export as export_module
from training.models.export import LARGEST_DIFFERENCE, export


def make_spec(architecture: str, signal: Signal, normalisation: str) -> ModelSpec:
    return ModelSpec(
        name="test",
        version="3",
        architecture=architecture,
        labels=("none", "positive", "surprise"),
        rate_hz=30.0,
        frames=8,
        region_layout=architectures.NETWORKS[architecture].layout,
        signal=signal,
        normalisation=normalisation,
        provenance={"seed": 5},
    )


MOTION = make_spec("TriplePath-HA3DNet", "motion", "clip to 3 px, divide by 0.3")

EVERY_NETWORK = [
    MOTION,
    make_spec("TriplePath-HA3DNet", "gray", "subtract the window's median, divide by 16"),
    make_spec("DP-3DNet", "gray", "divide by 255"),
    make_spec("HA-3DNet", "motion", "subtract the window's mean, clip to 3 px, divide by 0.3"),
    make_spec("SE-3DNet", "gray", "subtract the window's mean, divide by 16"),
    make_spec("HA-3DSENet", "motion", MOTION.normalisation),
    make_spec("MER-3DCNN", "gray", "z-score of the window"),
    make_spec("MER-3DCNN", "motion", MOTION.normalisation),
]
assert {spec.architecture for spec in EVERY_NETWORK} == set(architectures.NETWORKS)

ATTENTIVE = ("TriplePath-HA3DNet", "HA-3DNet", "HA-3DSENet")


def name_of(spec: ModelSpec) -> str:
    return f"{spec.architecture}-{spec.signal}"


def small(spec: ModelSpec) -> architectures.keras.Model:
    return architectures.build(spec, dense=6)


def windows(spec: ModelSpec, count: int) -> npt.NDArray[np.generic]:
    random = np.random.default_rng(11)
    shape = (count, *spec.window_shape)
    if spec.signal == "gray":
        return random.integers(0, 256, shape, dtype=np.uint8)
    return random.normal(size=shape).astype(np.float32)


def run_keras(
    network: architectures.keras.Model, spec: ModelSpec, signal: npt.NDArray[np.generic]
) -> list[npt.NDArray[np.float32]]:
    full = architectures.with_attention(network, spec)
    return [np.asarray(one) for one in architectures.keras.tree.flatten(full(signal))]


@pytest.mark.parametrize("spec", EVERY_NETWORK, ids=name_of)
def test_the_monitor_runs_what_was_exported(tmp_path: Path, spec: ModelSpec) -> None:
    network = small(spec)
    path = tmp_path / "new" / "model.onnx"
    assert 0 <= export(network, spec, path) < LARGEST_DIFFERENCE
    assert [one.name for one in path.parent.iterdir()] == ["model.onnx"]  # no draft is left

    model = Model.load(path, "cpu")
    assert model.spec == spec
    assert model.has_attention == (spec.architecture in ATTENTIVE)
    for count in (1, 3):
        signal = windows(spec, count)
        expected = run_keras(network, spec, signal)
        scores, attention = model.run(signal, want_attention=True)
        np.testing.assert_allclose(scores, expected[0], atol=LARGEST_DIFFERENCE)
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
        if model.has_attention:
            np.testing.assert_allclose(attention, expected[1], atol=LARGEST_DIFFERENCE)
        else:
            assert attention is None
            assert len(expected) == 1


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_any_pooling_and_padding_can_be_exported(
    tmp_path: Path, padding: Literal["same", "valid"]
) -> None:
    # 3 slots and 4 nodes leave a rest in both cases, which pooling drops.
    network = architectures.build(MOTION, dense=4, padding=padding, pool=(3, 7, 4))
    assert export(network, MOTION, tmp_path / "model.onnx") < LARGEST_DIFFERENCE


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_second_convolution_can_be_exported(
    tmp_path: Path, padding: Literal["same", "valid"]
) -> None:
    network = architectures.build(MOTION, input_pool=2, second_filters=5, dense=4, padding=padding)
    assert network.get_layer("second_convolution_lower").filters == 5
    assert export(network, MOTION, tmp_path / "model.onnx") < LARGEST_DIFFERENCE


@pytest.mark.parametrize(
    "spec",
    [one for one in EVERY_NETWORK if one.architecture in ("TriplePath-HA3DNet", "DP-3DNet")],
    ids=name_of,
)
def test_a_file_can_score_the_face_and_its_mirror_image(tmp_path: Path, spec: ModelSpec) -> None:
    network, path = small(spec), tmp_path / "model.onnx"
    export(network, spec, path, both_sides=True)
    window = windows(spec, 3)
    expected = (np.asarray(network(window)) + np.asarray(network(mirror(window, spec)))) / 2
    found = onnxruntime.InferenceSession(path).run(None, {"signal": window})
    np.testing.assert_allclose(found[0], expected, atol=LARGEST_DIFFERENCE)
    for attention, alone in zip(found[1:], run_keras(network, spec, window)[1:], strict=True):
        np.testing.assert_allclose(attention, alone, atol=LARGEST_DIFFERENCE)


@pytest.fixture
def half_precision(request: pytest.FixtureRequest) -> Iterator[None]:
    config = architectures.keras.config
    before = config.dtype_policy()
    config.set_dtype_policy(request.param)
    yield
    config.set_dtype_policy(before)


@pytest.mark.parametrize(
    ("half_precision", "architecture"),
    [("mixed_float16", "HA-3DSENet"), ("mixed_bfloat16", "MER-3DCNN")],
    indirect=["half_precision"],
)
def test_files_compute_in_float32_whatever_the_network_was_trained_in(
    tmp_path: Path, half_precision: None, architecture: str
) -> None:
    spec = make_spec(architecture, "motion", MOTION.normalisation)
    network, path = small(spec), tmp_path / "model.onnx"
    assert network.get_layer("scores").input.dtype in ("float16", "bfloat16")
    assert export(network, spec, path, both_sides=True) < LARGEST_DIFFERENCE
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    kinds = {one.type.tensor_type.elem_type for one in (*graph.value_info, *graph.output)}
    assert onnx.TensorProto.FLOAT in kinds
    assert not kinds & {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}

    architectures.keras.config.set_dtype_policy("float32")
    exact = small(spec)
    exact.set_weights(network.get_weights())
    window = windows(spec, 2)
    expected = (np.asarray(exact(window)) + np.asarray(exact(mirror(window, spec)))) / 2
    scores, _ = Model.load(path, "cpu").run(window)
    np.testing.assert_allclose(scores, expected, atol=LARGEST_DIFFERENCE)


def test_another_back_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small(MOTION)
    monkeypatch.setattr(architectures.keras.config, "backend", lambda: "jax")
    with pytest.raises(ModelError, match="back end jax; set KERAS_BACKEND=tensorflow"):
        export(network, MOTION, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_was_saved_can_be_exported(tmp_path: Path) -> None:
    small(MOTION).save(tmp_path / "model.keras")
    network = architectures.keras.models.load_model(tmp_path / "model.keras")
    assert export(network, MOTION, tmp_path / "model.onnx") < LARGEST_DIFFERENCE


@pytest.mark.parametrize(
    ("architecture", "inputs", "outputs"),
    [
        (
            "TriplePath-HA3DNet",
            ["N", 8, 3, 32, 32, 2],
            {"scores": ["N", 3], "attention": ["N", 3, 3, 6, 6]},
        ),
        ("MER-3DCNN", ["N", 8, 1, 64, 64, 2], {"scores": ["N", 3]}),
    ],
)
def test_the_file_says_what_goes_in_and_out(
    tmp_path: Path,
    architecture: str,
    inputs: list[int | str],
    outputs: dict[str, list[int | str]],
) -> None:
    path, spec = tmp_path / "model.onnx", make_spec(architecture, "motion", MOTION.normalisation)
    export(small(spec), spec, path)
    graph = onnx.load(path).graph

    def shape(value: onnx.ValueInfoProto) -> list[int | str]:
        return [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]

    assert {one.name: shape(one) for one in graph.input} == {"signal": inputs}
    assert {one.name: shape(one) for one in graph.output} == outputs


@pytest.mark.parametrize("drift", [LARGEST_DIFFERENCE * 1.1, float("nan")])
def test_a_file_that_differs_from_keras_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drift: float
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the model before")
    exactly = export_module._run_keras

    def drifted(*arguments: object) -> list[np.ndarray]:
        scores, attention = exactly(*arguments)
        return [scores + np.float32(drift), attention]

    monkeypatch.setattr(export_module, "_run_keras", drifted)
    with pytest.raises(ModelError, match=r"differs from Keras by .*was not written"):
        export(small(MOTION), MOTION, path)
    assert path.read_bytes() == b"the model before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_specification_of_another_model_is_refused(tmp_path: Path) -> None:
    other = make_spec("HA-3DNet", "motion", MOTION.normalisation)
    with pytest.raises(ModelError, match=r"takes windows \(8, 3, .*has \(8, 2, "):
        export(small(MOTION), other, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
