"""Keras -> ONNX: the file is whole, says what it is, and gives what Keras gives."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from realtime.errors import ModelError
from realtime.model import Model
from realtime.spec import ModelSpec, RegionLayout, Signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training extra is not installed")
pytest.importorskip("onnx", reason="the training extra is not installed")

import onnx
import onnxruntime

from training import export as export_module
from training import models
from training.export import LARGEST_DIFFERENCE, export
from training.train import mirror


def make_spec(signal: Signal, layout: RegionLayout, normalisation: str) -> ModelSpec:
    return ModelSpec(
        name="test",
        version="3",
        architecture=models.ARCHITECTURE,
        labels=("none", "positive", "surprise"),
        rate_hz=30.0,
        frames=8,
        region_layout=layout,
        signal=signal,
        normalisation=normalisation,
        provenance={"seed": 5},
    )


MOTION = make_spec("motion", "triple", "clip to 3 px, divide by 0.3")


def small(spec: ModelSpec) -> models.keras.Model:
    return models.build(spec, filters=4, dense=6)


@pytest.mark.parametrize(
    "spec",
    [
        MOTION,
        make_spec("motion", "dual", "subtract the window's mean, clip to 3 px, divide by 0.3"),
        make_spec("gray", "triple", "subtract the window's median, divide by 16"),
        make_spec("gray", "single", "z-score of the window"),
    ],
    ids=lambda spec: f"{spec.signal}-{spec.region_layout}",
)
def test_the_monitor_runs_what_was_exported(tmp_path: Path, spec: ModelSpec) -> None:
    network = small(spec)
    path = tmp_path / "new" / "model.onnx"
    assert 0 <= export(network, spec, path) < LARGEST_DIFFERENCE
    assert [one.name for one in path.parent.iterdir()] == ["model.onnx"]  # no draft is left

    model = Model.load(path, "cpu")
    assert model.spec == spec
    random = np.random.default_rng(11)
    for batch in (1, 3):
        shape = (batch, *spec.window_shape)
        signal = (
            random.integers(0, 256, shape, dtype=np.uint8)
            if spec.signal == "gray"
            else random.normal(size=shape).astype(np.float32)
        )
        expected = [np.asarray(one) for one in models.with_attention(network, spec)(signal)]
        scores, attention = model.run(signal, want_attention=True)
        assert attention is not None
        np.testing.assert_allclose(scores, expected[0], atol=LARGEST_DIFFERENCE)
        np.testing.assert_allclose(attention, expected[1], atol=LARGEST_DIFFERENCE)
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_any_pooling_and_padding_can_be_exported(
    tmp_path: Path, padding: Literal["same", "valid"]
) -> None:
    # 3 slots and 4 nodes leave a rest in both cases, which pooling drops.
    network = models.build(MOTION, filters=3, dense=4, padding=padding, pool=(3, 7, 4))
    assert export(network, MOTION, tmp_path / "model.onnx") < LARGEST_DIFFERENCE


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_second_convolution_can_be_exported(
    tmp_path: Path, padding: Literal["same", "valid"]
) -> None:
    network = models.build(
        MOTION, input_pool=2, filters=3, second_filters=5, dense=4, padding=padding
    )
    assert network.get_layer("second_convolution_lower").filters == 5
    assert export(network, MOTION, tmp_path / "model.onnx") < LARGEST_DIFFERENCE


@pytest.mark.parametrize(
    "spec",
    [
        MOTION,
        make_spec("motion", "dual", MOTION.normalisation),
        make_spec("gray", "triple", "divide by 255"),
        make_spec("gray", "single", "divide by 255"),
    ],
    ids=lambda spec: f"{spec.signal}-{spec.region_layout}",
)
def test_a_file_can_score_the_face_and_its_mirror_image(tmp_path: Path, spec: ModelSpec) -> None:
    network, path = small(spec), tmp_path / "model.onnx"
    export(network, spec, path, both_sides=True)
    random = np.random.default_rng(2)
    window = random.normal(0, 1, (3, *spec.window_shape)).astype(np.float32)
    if spec.signal == "gray":
        window = random.integers(0, 256, window.shape, np.uint8)
    expected = (np.asarray(network(window)) + np.asarray(network(mirror(window, spec)))) / 2
    scores, attention = onnxruntime.InferenceSession(path).run(None, {"signal": window})
    np.testing.assert_allclose(scores, expected, atol=LARGEST_DIFFERENCE)
    alone = np.asarray(models.with_attention(network, spec)(window)[1])
    np.testing.assert_allclose(attention, alone, atol=LARGEST_DIFFERENCE)


def test_a_network_that_was_saved_can_be_exported(tmp_path: Path) -> None:
    small(MOTION).save(tmp_path / "model.keras")
    network = models.keras.models.load_model(tmp_path / "model.keras")
    assert export(network, MOTION, tmp_path / "model.onnx") < LARGEST_DIFFERENCE


def test_the_file_says_what_goes_in_and_out(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export(small(MOTION), MOTION, path)
    graph = onnx.load(path).graph

    def shape(value: onnx.ValueInfoProto) -> list[int | str]:
        return [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]

    assert {one.name: shape(one) for one in graph.input} == {"signal": ["N", 8, 3, 32, 32, 2]}
    assert {one.name: shape(one) for one in graph.output} == {
        "scores": ["N", 3],
        "attention": ["N", 3, 3, 6, 6],
    }


@pytest.mark.parametrize("drift", [LARGEST_DIFFERENCE * 1.1, float("nan")])
def test_a_file_that_differs_from_keras_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drift: float
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the model before")
    run_keras = export_module._run_keras

    def drifted(*arguments: object) -> list[np.ndarray]:
        scores, attention = run_keras(*arguments)
        return [scores + np.float32(drift), attention]

    monkeypatch.setattr(export_module, "_run_keras", drifted)
    with pytest.raises(ModelError, match=r"differs from Keras by .*was not written"):
        export(small(MOTION), MOTION, path)
    assert path.read_bytes() == b"the model before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_specification_of_another_model_is_refused(tmp_path: Path) -> None:
    other = make_spec("motion", "dual", "clip to 3 px, divide by 0.3")
    with pytest.raises(ModelError, match=r"takes windows \(8, 3, .*says \(8, 2, "):
        export(small(MOTION), other, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
