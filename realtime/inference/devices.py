"""Devices that can run a model, and the reasons why a device is not usable."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from pathlib import Path
from typing import Any, Literal

from realtime.errors import DeviceError
from realtime.inference.onnx_file import (
    INPUT,
    LOAD_ERRORS,
    PROVIDERS,
    first_line_of,
    session_options,
)
from realtime.onnx_runtime import onnxruntime, ort_errors
from realtime.spec import ModelSpec

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
"""Name of a device, as for the option --device."""

AUTO_DEVICES = ("cuda",)
"""Devices that `auto` tries before the CPU.

TensorRT is used only when asked for: it compiles the network when it is loaded, which takes longer
than a model of this size can ever win back.
"""

LARGEST_BATCH = 8
"""Most windows in one run on a graphics card; TensorRT has to know it beforehand."""

_PROVIDER_ERRORS = (*LOAD_ERRORS, ort_errors.EPFail, ort_errors.NotFound, RuntimeError, ValueError)

DEVICE_TITLES = {"cpu": "CPU", "cuda": "CUDA", "tensorrt": "TensorRT"}
"""Names of the devices for the user."""


def accelerated_session(content: bytes, name: str, spec: ModelSpec) -> onnxruntime.InferenceSession:
    """Return a session that really runs on the device `name`.

    Raises DeviceError with the reason when there is none.
    """
    title, provider = DEVICE_TITLES[name], PROVIDERS[name]
    if provider not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"{title} cannot be used: the installed onnxruntime {onnxruntime.__version__} was "
            "built without it; install onnxruntime-gpu, or use --device cpu."
        )
    problem = _driver_problem()
    if problem:
        raise DeviceError(
            f"{title} cannot be used: {problem}; install NVIDIA's driver, or use --device cpu."
        )
    # Finds CUDA and cuDNN in NVIDIA's Python packages; it prints what it does not find.
    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls()
    providers: list[Any] = [provider, PROVIDERS["cpu"]]
    if name == "tensorrt":
        providers = [(provider, _tensorrt_options(spec)), PROVIDERS["cuda"], PROVIDERS["cpu"]]
    try:
        session = onnxruntime.InferenceSession(
            content,
            session_options(),
            providers=providers,
            enable_fallback=0,
        )
    except _PROVIDER_ERRORS as error:
        reason = _library_problem(name) or first_line_of(error)
    else:
        if session.get_providers()[0] == provider:
            return session
        reason = _library_problem(name) or "ONNX Runtime went back to the CPU without a reason"
    raise DeviceError(
        f"{title} cannot be used: {reason}; install CUDA 13 and cuDNN 9"
        f"{' and TensorRT 10' if name == 'tensorrt' else ''} "
        "(`uv pip install 'onnxruntime-gpu[cuda,cudnn]'`), or use --device cpu."
    )


def _tensorrt_options(spec: ModelSpec) -> dict[str, str]:
    """Return the sizes of batches for which TensorRT compiles the network."""
    window = "x".join(map(str, spec.window_shape))
    return {
        "trt_profile_min_shapes": f"{INPUT}:1x{window}",
        "trt_profile_opt_shapes": f"{INPUT}:1x{window}",
        "trt_profile_max_shapes": f"{INPUT}:{LARGEST_BATCH}x{window}",
    }


def _driver() -> ctypes.CDLL:
    """Load NVIDIA's driver library. Raises OSError when it is not installed."""
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def _driver_problem() -> str | None:
    """Return why NVIDIA's driver offers no graphics card, or None when it does."""
    try:
        driver = _driver()
    except OSError as error:
        return f"no NVIDIA driver was found ({error})"
    status = driver.cuInit(0)
    count = ctypes.c_int(0)
    if status == 0:
        status = driver.cuDeviceGetCount(ctypes.byref(count))
    if status != 0:
        name = ctypes.c_char_p()
        driver.cuGetErrorName(status, ctypes.byref(name))
        error_name = name.value.decode() if name.value else "unknown"
        return f"the NVIDIA driver reports error {status} ({error_name})"
    if count.value == 0:
        return "the NVIDIA driver finds no graphics card"
    return None


def gpu_name() -> str:
    """Return the name of the first graphics card; only where `_driver_problem` is None."""
    name = ctypes.create_string_buffer(256)
    device = ctypes.c_int(0)
    driver = _driver()
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDeviceGetName(name, len(name), device)
    return name.value.decode(errors="replace")


def _library_problem(name: str) -> str | None:
    """Return why ONNX Runtime's library for the device `name` does not load, or None when it does.

    ONNX Runtime falls back without raising and writes the reason to its log only; loading the same
    library again gives the same reason. To be called after ONNX Runtime has tried.
    """
    folder = Path(onnxruntime.__file__).parent / "capi"
    pattern = "{}.dll" if sys.platform == "win32" else "lib{}.so"
    try:
        shared = folder / pattern.format("onnxruntime_providers_shared")
        ctypes.CDLL(os.fspath(shared), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(os.fspath(folder / pattern.format(f"onnxruntime_providers_{name}")))
    except OSError as error:
        return f"a library is missing ({error})"
    return None
