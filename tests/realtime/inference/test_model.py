"""Model files: what is refused and in which words, what runs where, and why not elsewhere."""

from __future__ import annotations

import ctypes
import dataclasses
import hashlib
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from realtime.errors import DeviceError, ModelError
from realtime.inference import devices, onnx_file
from realtime.inference import model as model_module
from realtime.inference.model import Model, device_report, find_model, list_models
from realtime.spec import METADATA_KEY, ModelSpec
from support.paths import ROOT

onnx = pytest.importorskip("onnx", reason="files for these tests are made with onnx")

SPEC = ModelSpec(
    name="small",
    version="1",
    architecture="none",
    labels=("none", "positive", "surprise"),
    rate_hz=30.0,
    frames=4,
    region_layout="triple",
    signal="motion",
    normalisation="none",
)
GRAY_SPEC = dataclasses.replace(SPEC, signal="gray")


def make_file(
    path: Path,
    spec: ModelSpec = SPEC,
    *,
    metadata: dict[str, str] | None = None,
    input_name: str = "signal",
    input_shape: list[Any] | None = None,
    input_type: int | None = None,
    scores_name: str = "scores",
    swap_attention: bool = False,
    labels: int | None = None,
    softmax: bool = True,
) -> Path:
    """A network that is as small as can be: the scores depend on the mean of the window, and
    the attention is the mean over the channels."""
    make, kinds = onnx.helper, onnx.TensorProto
    _, _, height, width, _ = spec.window_shape
    gray = kinds.UINT8 if spec.signal == "gray" else kinds.FLOAT
    labels = len(spec.labels) if labels is None else labels
    nodes = [
        make.make_node("Cast", [input_name], ["x"], to=kinds.FLOAT),
        make.make_node(
            "Transpose", ["x"], ["t"], perm=list(range(6)) if swap_attention else [0, 2, 1, 3, 4, 5]
        ),
        make.make_node("ReduceMean", ["t"], ["attention"], axes=[5], keepdims=0),
        make.make_node("ReduceMean", ["attention"], ["m"], axes=[1, 2, 3, 4], keepdims=0),
        make.make_node("Unsqueeze", ["m", "one"], ["c"]),
        make.make_node("MatMul", ["c", "w"], ["l"]),
        make.make_node("Softmax" if softmax else "Identity", ["l"], [scores_name]),
    ]
    weights = np.arange(labels, dtype=np.float32).reshape(1, -1)
    graph = make.make_graph(
        nodes,
        "small",
        [
            make.make_tensor_value_info(
                input_name,
                gray if input_type is None else input_type,
                input_shape or ["N", *spec.window_shape],
            )
        ],
        [
            make.make_tensor_value_info(scores_name, kinds.FLOAT, ["N", labels]),
            make.make_tensor_value_info("attention", kinds.FLOAT, ["N", None, None, height, width]),
        ],
        [
            onnx.numpy_helper.from_array(weights, "w"),
            onnx.numpy_helper.from_array(np.array([1]), "one"),
        ],
    )
    file = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    make.set_model_props(file, {METADATA_KEY: spec.to_json()} if metadata is None else metadata)
    onnx.save(file, path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_file(tmp_path / "small.onnx")


def windows(spec: ModelSpec, batch: int) -> np.ndarray:
    random = np.random.default_rng(3)
    shape = (batch, *spec.window_shape)
    if spec.signal == "gray":
        return random.integers(0, 4, shape, dtype=np.uint8)
    return random.normal(size=shape).astype(np.float32)


# --- running ---


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


# --- finding ---


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


# --- refusing ---


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


# --- devices ---


class FakeDriver:
    """NVIDIA's driver as far as it is asked: one status, a number of cards, one name."""

    def __init__(self, status: int = 0, cards: int = 1) -> None:
        self._status, self._cards = status, cards

    def cuInit(self, flags: int) -> int:
        return self._status

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self._cards
        return 0

    def cuGetErrorName(self, status: int, name: Any) -> int:
        name._obj.value = b"CUDA_ERROR_NO_DEVICE"
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        ctypes.memmove(name, b"Fake Card\0", 10)
        return 0


def missing_driver() -> ctypes.CDLL:
    raise OSError("libcuda.so.1: cannot open shared object file")


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the installed onnxruntime were the one for graphics cards, with a good driver."""
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: list(onnx_file.PROVIDERS.values())
    )
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("not found"), raising=False)
    monkeypatch.setattr(devices, "_driver", FakeDriver)


def session_that_reports(providers: list[str]) -> Any:
    """A session class that runs on the CPU and reports other providers."""

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, content: bytes, options: Any, providers: Any, **rest: Any) -> None:
            self._asked = providers
            super().__init__(content, options, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"] if len(self._asked) == 1 else providers

    return Session


def why_not(path: Path, device: devices.Device = "cuda") -> str:
    """Why a device is refused; `auto` must then go on with the CPU and say the same."""
    with pytest.raises(DeviceError) as caught:
        Model.load(path, device)
    message = str(caught.value)
    assert "use --device cpu" in message
    if device == "cuda":
        model = Model.load(path, "auto")
        assert model.device.startswith("CPU")
        assert model.device_note == message
        assert model.run(windows(SPEC, 1))[0].shape == (1, 3)
    return message


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_device_that_the_library_lacks(
    path: Path, device: devices.Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "built without it" in why_not(path, device)


@pytest.mark.usefixtures("cuda_build")
def test_device_without_a_driver(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_driver", missing_driver)
    assert "no NVIDIA driver was found (libcuda.so.1: cannot open" in why_not(path)


@pytest.mark.usefixtures("cuda_build")
def test_device_whose_driver_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_driver", lambda: FakeDriver(status=100))
    assert "error 100 (CUDA_ERROR_NO_DEVICE)" in why_not(path)
    monkeypatch.setattr(devices, "_driver", lambda: FakeDriver(cards=0))
    assert "finds no graphics card" in why_not(path)


@pytest.mark.usefixtures("cuda_build")
def test_device_that_the_session_silently_does_without(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_that_reports(["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(devices, "_library_problem", lambda name: f"no libcublas for {name}")
    assert "CUDA cannot be used: no libcublas for cuda" in why_not(path)
    assert "TensorRT cannot be used: no libcublas for tensorrt" in why_not(path, "tensorrt")


@pytest.mark.usefixtures("cuda_build")
def test_device_whose_session_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = onnxruntime.InferenceSession

    def fail(content: bytes, options: Any, providers: list[Any], **rest: Any) -> Any:
        if len(providers) > 1:
            raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : CUDA failure 35: driver too old")
        return original(content, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    monkeypatch.setattr(devices, "_library_problem", lambda name: None)
    assert "cannot be used: CUDA failure 35: driver too old;" in why_not(path)


@pytest.mark.usefixtures("cuda_build")
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_device_that_works_is_used_and_named(
    path: Path,
    device: devices.Device,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    session = session_that_reports(["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    model = Model.load(path, device)
    assert model.device == "CUDA: Fake Card"
    assert model.device_note == ""
    assert capfd.readouterr() == ("", "")


def test_library_that_does_not_load_is_named() -> None:
    problem = devices._library_problem("kilas_test")
    assert problem is not None
    assert "onnxruntime_providers_" in problem


def test_unknown_device_is_an_error(path: Path) -> None:
    with pytest.raises(ValueError, match="device must be one of"):
        Model.load(path, "npu")  # type: ignore[arg-type]


def test_report_lists_every_device(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    report = device_report(path)
    assert [(one.device, one.usable) for one in report] == [
        ("cpu", True),
        ("cuda", False),
        ("tensorrt", False),
    ]
    assert all(one.why.endswith(".") for one in report)


def test_loading_is_silent(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Model.load(path, "auto").warm_up(1)
    assert capfd.readouterr() == ("", "")


def test_the_monitor_needs_no_training_library() -> None:
    check = (
        "import sys, realtime.inference.model, realtime.inference.worker\n"
        "print(sorted({'tensorflow', 'keras', 'jax', 'onnx', 'training'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
