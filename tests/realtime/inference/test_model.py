"""Files of models: their checks, and runs of their networks."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.errors import ModelError
from realtime.inference import model as model_module
from realtime.inference.model import Model, find_model, list_models
from realtime.spec import METADATA_KEY, ModelSpec
from support.onnx_files import GRAY_SPEC, SPEC, make_file, windows
from support.paths import ROOT


@pytest.mark.parametrize("spec", [SPEC, GRAY_SPEC], ids=["motion", "gray"])
@pytest.mark.parametrize("batch", [1, 3])
def test_run_scores_every_window_of_a_batch(tmp_path: Path, spec: ModelSpec, batch: int) -> None:
    model = Model.load(make_file(tmp_path / "m.onnx", spec), "cpu")
    model.warm_up(2)
    signal = windows(spec, batch)
    scores, attention = model.run(signal)
    mean = signal.mean(axis=(1, 2, 3, 4, 5), dtype=np.float64)
    expected = np.exp(np.outer(mean, [0, 1, 2]))
    np.testing.assert_allclose(scores, expected / expected.sum(1, keepdims=True), atol=1e-5)
    assert scores.dtype == np.float32
    assert attention is None


def test_attention_comes_when_wanted(path: Path) -> None:
    signal = windows(SPEC, 2)
    _, attention = Model.load(path, "cpu").run(signal, want_attention=True)
    assert attention is not None
    np.testing.assert_allclose(attention, signal.mean(-1).transpose(0, 2, 1, 3, 4), atol=1e-6)


def test_a_window_in_any_memory_order_is_the_same_window(path: Path) -> None:
    model, signal = Model.load(path, "cpu"), windows(SPEC, 2)
    np.testing.assert_array_equal(model.run(np.asfortranarray(signal))[0], model.run(signal)[0])


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(SPEC.window_shape, np.float32),
        np.zeros((0, *SPEC.window_shape), np.float32),
        np.zeros((1, *SPEC.window_shape), np.float64),
        np.zeros((1, *SPEC.window_shape[:-1], 3), np.float32),
    ],
    ids=["no batch", "empty batch", "dtype", "shape"],
)
def test_a_wrong_window_states_expected_and_found(path: Path, signal: np.ndarray) -> None:
    model = Model.load(path, "cpu")
    found = f"got {signal.dtype} {list(signal.shape)}"
    with pytest.raises(
        ValueError, match=r"expected windows float32 \[N >= 1, 4, 3, 32, 32, 2\]"
    ) as e:
        model.run(signal)
    assert found in str(e.value)


def test_buffers_on_a_device_give_what_a_plain_run_gives(path: Path) -> None:
    model = Model.load(path, "cpu")
    bound = model_module._BoundRun(model._session, "cpu")
    for batch in (1, 3, 1, 3):
        signal = windows(SPEC, batch) * batch
        before = signal.copy()
        scores, attention = bound.run(["scores", "attention"], signal)
        np.testing.assert_array_equal(scores, model.run(signal)[0])
        np.testing.assert_array_equal(attention, model.run(signal, want_attention=True)[1])
        np.testing.assert_array_equal(signal, before)


def test_model_says_what_it_is(path: Path) -> None:
    model = Model.load(str(path), "cpu")
    assert model.spec == SPEC
    assert model.path == path
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert re.fullmatch(r"CPU \(\d+ threads?\)", model.device)
    assert model.device_note == ""
    assert model.has_attention


def test_names_stand_for_models_that_ship(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(model_module, "WEIGHTS_FOLDER", tmp_path)
    make_file(tmp_path / "b.onnx")
    make_file(tmp_path / "a.onnx")
    assert list_models() == ["a", "b"]
    assert find_model("a") == tmp_path / "a.onnx"
    assert find_model(str(tmp_path / "b.onnx")) == tmp_path / "b.onnx"
    with pytest.raises(ModelError, match=r"no model 'c': .*ship \(a, b\)"):
        find_model("c")
    with pytest.raises(ModelError, match=r"no model '\.\./a'"):
        find_model("../a")


def refusal(path: Path) -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(ModelError) as caught:
        Model.load(path, "cpu")
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", bytes(range(256)) * 40, pickle.dumps({"weights": [1, 2]})],
    ids=["empty", "text", "random", "pickle"],
)
def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    message = refusal(path)
    assert "expected an ONNX file" in message
    assert f"found {len(content)} bytes" in message


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "m.onnx"
    path.write_bytes(pickle.dumps(Trap()))
    refusal(path)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "no model" in refusal(tmp_path)


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    message = refusal(make_file(tmp_path / "m.onnx", metadata={"author": "somebody"}))
    assert "expected the metadata key 'kilas', found 'author'" in message
    assert "no metadata" in refusal(make_file(tmp_path / "m.onnx", metadata={}))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        "{}",
        json.dumps({**json.loads(SPEC.to_json()), "surplus": 1}),
        json.dumps({**json.loads(SPEC.to_json()), "rate_hz": -1}),
        json.dumps({**json.loads(SPEC.to_json()), "signal": "sound"}),
    ],
)
def test_a_malformed_specification_is_refused(tmp_path: Path, text: str) -> None:
    assert "specification" in refusal(make_file(tmp_path / "m.onnx", metadata={METADATA_KEY: text}))


@pytest.mark.parametrize(
    ("faults", "expected", "found"),
    [
        ({"input_name": "image"}, "the one input 'signal'", "'image'"),
        ({"scores_name": "logits"}, "the output 'scores'", "'logits', 'attention'"),
        ({"labels": 4}, "'scores' of shape [N, 3]", "[N, 4]"),
        (
            {"input_shape": ["N", 8, 3, 32, 32, 2]},
            "'signal' of shape [N, 4, 3, 32, 32, 2]",
            "[N, 8, 3, 32, 32, 2]",
        ),
        (
            {"input_shape": [1, 4, 3, 32, 32, 2]},
            "'signal' of shape [N, 4, 3, 32, 32, 2]",
            "[1, 4, 3, 32, 32, 2]",
        ),
        ({"input_type": 11}, "'signal' as float32", "tensor(double)"),
        (
            {"swap_attention": True},
            "'attention' of shape [N, 3, T', H', W']",
            "[N, 4, 3, 32, 32]",
        ),
        ({"softmax": False}, "scores that sum to 1", "0.000"),
    ],
    ids=["input", "output", "labels", "frames", "fixed batch", "dtype", "attention", "no softmax"],
)
def test_a_file_that_disagrees_states_expected_and_found(
    tmp_path: Path, faults: dict[str, Any], expected: str, found: str
) -> None:
    message = refusal(make_file(tmp_path / "m.onnx", **faults))
    assert f"expected {expected}, found {found}" in message


def test_the_monitor_needs_no_training_library() -> None:
    check = (
        "import sys, realtime.inference.model, realtime.inference.worker\n"
        "print(sorted({'tensorflow', 'keras', 'jax', 'onnx', 'training'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
