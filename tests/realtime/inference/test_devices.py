"""Devices: one that works is used, and the others say why they cannot be."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from realtime.errors import DeviceError
from realtime.inference import devices, onnx_file
from realtime.inference.model import Model, device_report
from realtime.onnx_runtime import onnxruntime
from support.onnx_files import SPEC, windows


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
