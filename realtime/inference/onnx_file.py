"""Opening of an ONNX model file, and checks of what it states."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from realtime.errors import ModelError

WEIGHTS_FOLDER = Path(__file__).resolve().parents[2] / "weights"

INPUT, SCORES, ATTENTION = "signal", "scores", "attention"

SUM_TOLERANCE = 1e-3  # of a row of scores; float32 rounding stays below 1e-6

CPU_THREADS = 1
"""A window takes about 2 ms on one thread, and MediaPipe's threads need the other cores: with
two threads a window took twice as long as with one while the machine was busy."""

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
"""What ONNX Runtime raises for content that is no model that it can run."""


def session_options(verbose: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CPU_THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 2 if verbose else 4
    return options


def cpu_session(path: Path, content: bytes, verbose: bool) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(
            content, session_options(verbose), providers=[PROVIDERS["cpu"]]
        )
    except LOAD_ERRORS as error:
        raise ModelError(
            f"The model {path} is not usable: expected an ONNX file, found {len(content)} bytes "
            f"that ONNX Runtime cannot read ({first_line_of(error)})."
        ) from error


def first_line_of(error: BaseException) -> str:
    """ONNX Runtime's own words, which follow its codes: "[ONNXRuntimeError] : 2 : CODE : words"."""
    return str(error).split(" : ")[-1].strip().split("\n")[0].rstrip(".")
