"""A model file, opened: ONNX Runtime on the best device that really works.

ONNX Runtime silently goes on without a graphics card that it cannot use. Here the device in use
is what the session itself reports, and a device that was asked for and cannot be used is an
error that says why.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from realtime.errors import DeviceError, ModelError
from realtime.spec import METADATA_KEY, ModelSpec

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
Float32Array = npt.NDArray[np.float32]

DEFAULT_MODEL = "kilas"
WEIGHTS_FOLDER = Path(__file__).resolve().parents[1] / "weights"

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
AUTO_DEVICES = ("cuda",)
"""What `auto` tries before the CPU. TensorRT is used only when asked for: it compiles the network
when it is loaded, which takes longer than a model of this size can ever win back."""

LARGEST_BATCH = 8  # windows; TensorRT has to know it beforehand

_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}
_SIGNAL_DTYPES = {"motion": "float32", "gray": "uint8"}

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
_PROVIDER_ERRORS = (*LOAD_ERRORS, ort_errors.EPFail, ort_errors.NotFound, RuntimeError, ValueError)


def list_models() -> list[str]:
    """Names of the models that ship with Kilas, sorted."""
    return sorted(path.stem for path in WEIGHTS_FOLDER.glob("*.onnx"))


def find_model(name_or_path: str | Path) -> Path:
    """`name_or_path`: the name of a model that ships (`weights/NAME.onnx`), or a path.

    Raises ModelError when there is neither.
    """
    shipped = WEIGHTS_FOLDER / f"{name_or_path}.onnx"
    path = Path(name_or_path)
    if path.name == str(name_or_path) and shipped.is_file():
        return shipped
    if path.is_file():
        return path
    known = ", ".join(list_models()) or "none"
    raise ModelError(
        f"There is no model {str(name_or_path)!r}: give the path of an .onnx file or one of the "
        f"models that ship ({known})."
    )


class Model:
    """A checked model file and its session. `run` may be called by one thread at a time.

    `spec`, `path`, `sha256` (of the file's bytes, hexadecimal): what was loaded. `device`: what
    it runs on, in words. `device_note`: why `auto` came out at the CPU, otherwise empty.
    """

    def __init__(self, path: Path, device: Device = "auto", *, verbose: bool = False) -> None:
        if device not in get_args(Device):
            raise ValueError(f"device must be one of {get_args(Device)}, not {device!r}")
        if not verbose:
            onnxruntime.set_default_logger_severity(4)  # fatal only; failures are raised
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"The model {path} cannot be read: {error.strerror}.") from error
        self.path = path
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._session = _cpu_session(path, content, verbose)
        self.spec = _checked_spec(path, self._session)
        self._has_attention = ATTENTION in {o.name for o in self._session.get_outputs()}
        self._bound: _BoundRun | None = None
        self.device = f"CPU ({CPU_THREADS} thread{'s' if CPU_THREADS > 1 else ''})"
        self.device_note = ""
        self._check_sums()

        notes = []
        for name in AUTO_DEVICES if device == "auto" else (device,):
            if name == "cpu":
                break
            try:
                session = _accelerated_session(content, name, self.spec, verbose)
            except DeviceError as error:
                if device != "auto":
                    raise
                notes.append(str(error))
            else:
                self._session = session
                self._bound = _BoundRun(session, "cuda")
                self.device = f"{_TITLES[name]}: {_gpu_name()}"
                return
        self.device_note = " ".join(notes)

    @classmethod
    def load(
        cls,
        path_or_name: str | Path = DEFAULT_MODEL,
        device: Device = "auto",
        *,
        verbose: bool = False,
    ) -> Self:
        """Open a model file, see `find_model`, and check it against its own specification.

        `verbose`: let ONNX Runtime write its log to stderr. Raises ModelError when the file is
        missing, is not a model of Kilas or disagrees with its specification, and DeviceError
        when `device` is asked for and cannot be used.
        """
        return cls(find_model(path_or_name), device, verbose=verbose)

    @property
    def has_attention(self) -> bool:
        """Whether the file can say where it looked."""
        return self._has_attention

    def run(
        self, signal: npt.NDArray[np.generic], want_attention: bool = False
    ) -> tuple[Float32Array, Float32Array | None]:
        """Score a batch of windows.

        `signal`: [N, T, R, H, W, C] as the spec says, N >= 1; uint8 for gray, float32 for
        motion. Returns the scores, float32 [N, labels], and the attention, float32
        [N, R, T', H', W'], or None when it was not asked for or the file has none. Raises
        ValueError for another shape or dtype.
        """
        shape, dtype = self.spec.window_shape, _SIGNAL_DTYPES[self.spec.signal]
        if (
            signal.ndim != 6
            or len(signal) < 1
            or signal.shape[1:] != shape
            or signal.dtype != dtype
        ):
            raise ValueError(
                f"expected windows {dtype} [N >= 1, {', '.join(map(str, shape))}], "
                f"got {signal.dtype} {list(signal.shape)}"
            )
        names = [SCORES, ATTENTION] if want_attention and self._has_attention else [SCORES]
        signal = np.ascontiguousarray(signal)
        if self._bound is None:
            outputs = self._session.run(names, {INPUT: signal})
        else:
            parts = [
                self._bound.run(names, signal[start : start + LARGEST_BATCH])
                for start in range(0, len(signal), LARGEST_BATCH)
            ]
            outputs = [np.concatenate(output) for output in zip(*parts, strict=True)]
        return outputs[0], outputs[1] if len(outputs) > 1 else None

    def warm_up(self, max_batch: int = 1) -> None:
        """Run every batch size up to `max_batch` once, so that the first real ones are fast."""
        for batch in range(1, max_batch + 1):
            self.run(self._blank(batch), want_attention=True)

    def _blank(self, batch: int) -> npt.NDArray[np.generic]:
        return np.zeros((batch, *self.spec.window_shape), _SIGNAL_DTYPES[self.spec.signal])

    def _check_sums(self) -> None:
        try:
            scores, _ = self.run(self._blank(1))
        except LOAD_ERRORS as error:
            raise ModelError(
                f"The model {self.path.name} does not run ({_first_line(error)}); export it again."
            ) from error
        total = float(scores.sum())
        if not abs(total - 1) < SUM_TOLERANCE:
            raise ModelError(
                f"The model {self.path.name} is not usable: expected scores that sum to 1, found "
                f"{total:.3f}; export it with a softmax at its end."
            )


class _BoundRun:
    """Runs a session through input buffers that stay on the device, one a batch size.

    `device_type`: ONNX Runtime's name of the memory, such as "cuda".
    """

    def __init__(self, session: onnxruntime.InferenceSession, device_type: str) -> None:
        self._session = session
        self._device_type = device_type
        self._buffers: dict[int, onnxruntime.OrtValue] = {}

    def run(self, names: list[str], signal: npt.NDArray[np.generic]) -> list[Float32Array]:
        buffer = self._buffers.get(len(signal))
        if buffer is None:
            buffer = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                signal.shape, signal.dtype, self._device_type, 0
            )
            self._buffers[len(signal)] = buffer
        buffer.update_inplace(signal)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(INPUT, buffer)
        for name in names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())


def _options(verbose: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CPU_THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 2 if verbose else 4
    return options


def _cpu_session(path: Path, content: bytes, verbose: bool) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(
            content, _options(verbose), providers=[PROVIDERS["cpu"]]
        )
    except LOAD_ERRORS as error:
        raise ModelError(
            f"The model {path} is not usable: expected an ONNX file, found {len(content)} bytes "
            f"that ONNX Runtime cannot read ({_first_line(error)})."
        ) from error


def _first_line(error: BaseException) -> str:
    """ONNX Runtime's own words, which follow its codes: "[ONNXRuntimeError] : 2 : CODE : words"."""
    return str(error).split(" : ")[-1].strip().split("\n")[0].rstrip(".")


def _checked_spec(path: Path, session: onnxruntime.InferenceSession) -> ModelSpec:
    """The spec of the file, which its inputs and outputs have been compared with."""
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise ModelError(
            f"The model {path.name} is not one of Kilas's: expected the metadata key "
            f"{METADATA_KEY!r}, found {', '.join(map(repr, sorted(metadata))) or 'no metadata'}; "
            "export it with `python -m training export`."
        )
    spec = ModelSpec.from_json(metadata[METADATA_KEY])

    def refuse(what: str, expected: str, found: str) -> ModelError:
        return ModelError(
            f"The model {path.name} disagrees with its specification: expected {what} {expected}, "
            f"found {found}; export it again."
        )

    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    if list(inputs) != [INPUT]:
        raise refuse("the one input", repr(INPUT), ", ".join(map(repr, inputs)) or "none")
    if SCORES not in outputs:
        raise refuse("the output", repr(SCORES), ", ".join(map(repr, outputs)))

    dtypes = {INPUT: _SIGNAL_DTYPES[spec.signal], SCORES: "float32", ATTENTION: "float32"}
    shapes = {
        INPUT: ["N", *spec.window_shape],
        SCORES: ["N", len(spec.labels)],
        ATTENTION: ["N", spec.window_shape[1], "T'", "H'", "W'"],
    }
    for name, node in {**inputs, **outputs}.items():
        if name not in shapes:
            continue
        dtype = _DTYPES.get(node.type, node.type)
        if dtype != dtypes[name]:
            raise refuse(f"{name!r} as", dtypes[name], dtype)
        fits = len(node.shape) == len(shapes[name]) and all(
            # Letters stand for free sizes; that of the batch must be free in the file too.
            found == expected if isinstance(expected, int) else axis > 0 or isinstance(found, str)
            for axis, (found, expected) in enumerate(zip(node.shape, shapes[name], strict=True))
        )
        if not fits:
            raise refuse(f"{name!r} of shape", _shape(shapes[name]), _shape(node.shape))
    return spec


def _shape(shape: list[Any]) -> str:
    return f"[{', '.join(map(str, shape))}]"


# --- devices -------------------------------------------------------------------------------

_TITLES = {"cpu": "CPU", "cuda": "CUDA", "tensorrt": "TensorRT"}


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """Whether `device` can be used here, and `why` it can or cannot, in one sentence."""

    device: str
    usable: bool
    why: str


def device_report(model: str | Path = DEFAULT_MODEL) -> list[DeviceStatus]:
    """Every device and whether a session of `model` really runs on it.

    Raises ModelError as `Model.load` does.
    """
    report = []
    for name in PROVIDERS:
        try:
            opened = Model.load(model, name)  # type: ignore[arg-type]
        except DeviceError as error:
            report.append(DeviceStatus(name, False, str(error)))
        else:
            report.append(DeviceStatus(name, True, f"{opened.device}."))
    return report


def _accelerated_session(
    content: bytes, name: str, spec: ModelSpec, verbose: bool
) -> onnxruntime.InferenceSession:
    """A session that really runs on `name`. Raises DeviceError that says why there is none."""
    title, provider = _TITLES[name], PROVIDERS[name]
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
            _options(verbose),
            providers=providers,
            enable_fallback=0,
        )
    except _PROVIDER_ERRORS as error:
        reason = _library_problem(name) or _first_line(error)
    else:
        if session.get_providers()[0] == provider:
            return session
        reason = _library_problem(name) or "ONNX Runtime went back to the CPU without a reason"
    raise DeviceError(
        f"{title} cannot be used: {reason}; install CUDA 12 and cuDNN 9"
        f"{' and TensorRT 10' if name == 'tensorrt' else ''}, or use --device cpu."
    )


def _tensorrt_options(spec: ModelSpec) -> dict[str, str]:
    window = "x".join(map(str, spec.window_shape))
    return {
        "trt_profile_min_shapes": f"{INPUT}:1x{window}",
        "trt_profile_opt_shapes": f"{INPUT}:1x{window}",
        "trt_profile_max_shapes": f"{INPUT}:{LARGEST_BATCH}x{window}",
    }


def _driver() -> ctypes.CDLL:
    """NVIDIA's driver library. Raises OSError when it is not installed."""
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def _driver_problem() -> str | None:
    """Why NVIDIA's driver offers no graphics card, or None when it offers one."""
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
        words = name.value.decode() if name.value else "unknown"
        return f"the NVIDIA driver reports error {status} ({words})"
    if count.value == 0:
        return "the NVIDIA driver finds no graphics card"
    return None


def _gpu_name() -> str:
    """Name of the first graphics card; only where `_driver_problem` is None."""
    name = ctypes.create_string_buffer(256)
    device = ctypes.c_int(0)
    driver = _driver()
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDeviceGetName(name, len(name), device)
    return name.value.decode(errors="replace")


def _library_problem(name: str) -> str | None:
    """Why ONNX Runtime's library for `name` does not load, or None when it does.

    ONNX Runtime falls back without raising and writes the reason to its log only; loading the
    same library again gives the same reason. To be called after ONNX Runtime has tried.
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
