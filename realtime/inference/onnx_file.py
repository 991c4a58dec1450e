"""Opening of an ONNX model file, with the names and limits that all model files share."""

from __future__ import annotations

from pathlib import Path

from realtime.errors import ModelError
from realtime.onnx_runtime import onnxruntime, ort_errors

WEIGHTS_FOLDER = Path(__file__).resolve().parents[2] / "weights"
"""Folder of the models that ship."""

INPUT, SCORES, ATTENTION = "signal", "scores", "attention"
"""Names of the input and of the outputs of a model's graph."""

SUM_TOLERANCE = 1e-3
"""Largest distance from 1 of the sum of a row of scores; float32 rounding stays below 1e-6."""

CPU_THREADS = 1
"""Number of threads of a network on the CPU.

A window takes about 2 ms on one thread, and MediaPipe's threads need the other cores: with two
threads a window took twice as long as with one while the machine was busy.
"""

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""ONNX Runtime's execution provider of each device."""

LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
"""Errors that ONNX Runtime raises for content that is no model that it can run."""


def session_options() -> onnxruntime.SessionOptions:
    """Return the options of a session, which logs nothing: failures are raised."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CPU_THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal only
    return options


def cpu_session(path: Path, content: bytes) -> onnxruntime.InferenceSession:
    """Open a model on the CPU, `content` being the bytes of the file at `path`.

    Raises ModelError when ONNX Runtime cannot read them.
    """
    try:
        return onnxruntime.InferenceSession(
            content, session_options(), providers=[PROVIDERS["cpu"]]
        )
    except LOAD_ERRORS as error:
        raise ModelError(
            f"The model {path} is not usable: expected an ONNX file, found {len(content)} bytes "
            f"that ONNX Runtime cannot read ({first_line_of(error)})."
        ) from error


def first_line_of(error: BaseException) -> str:
    """Return ONNX Runtime's own message, without the codes before it.

    The error's text is "[ONNXRuntimeError] : 2 : CODE : message".
    """
    return str(error).split(" : ")[-1].strip().split("\n")[0].rstrip(".")
