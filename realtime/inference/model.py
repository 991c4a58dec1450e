"""Model of micro-expressions, opened with ONNX Runtime on the best device that really works.

ONNX Runtime silently goes on without a graphics card that it cannot use. Here the session itself
reports the device in use, and a device that was asked for and cannot be used is an error that
states the reason.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt

from realtime.errors import DeviceError, ModelError
from realtime.inference.devices import (
    AUTO_DEVICES,
    DEVICE_TITLES,
    LARGEST_BATCH,
    Device,
    accelerated_session,
    gpu_name,
)
from realtime.inference.onnx_file import (
    ATTENTION,
    CPU_THREADS,
    INPUT,
    LOAD_ERRORS,
    PROVIDERS,
    SCORES,
    SUM_TOLERANCE,
    WEIGHTS_FOLDER,
    cpu_session,
    first_line_of,
)
from realtime.onnx_runtime import onnxruntime
from realtime.spec import METADATA_KEY, ModelSpec
from realtime.types import Float32Array

DEFAULT_MODEL = "kilas"
"""Name of the model that is used by default."""

_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}
_SIGNAL_DTYPES = {"motion": "float32", "gray": "uint8"}


def list_models() -> list[str]:
    """Return the names of the models that ship with Kilas, sorted."""
    return sorted(path.stem for path in WEIGHTS_FOLDER.glob("*.onnx"))


def find_model(name_or_path: str | Path) -> Path:
    """Return the path of a model file.

    `name_or_path`: the name of a model that ships (`weights/NAME.onnx`), or a path. Raises
    ModelError when there is neither.
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
    """Checked model file and its session. `run` may be called by one thread at a time.

    `spec`, `path`, `sha256` (of the file's bytes, hexadecimal): the file that was loaded. `device`:
    name of the device that it runs on, for the user. `device_note`: why `auto` chose the CPU,
    otherwise empty.

    Example:

        import numpy as np
        from realtime.inference.model import Model

        model = Model.load("kilas", device="cpu")
        windows = np.zeros((1, *model.spec.window_shape), np.float32)
        scores, _ = model.run(windows)
        print(dict(zip(model.spec.labels, scores[0])))
    """

    def __init__(self, path: Path, device: Device = "auto") -> None:
        """Open and check the file at `path`; see `load`."""
        if device not in get_args(Device):
            raise ValueError(f"device must be one of {get_args(Device)}, not {device!r}")
        onnxruntime.set_default_logger_severity(4)  # fatal only; failures are raised
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"The model {path} cannot be read: {error.strerror}.") from error
        self.path = path
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._session = cpu_session(path, content)
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
                session = accelerated_session(content, name, self.spec)
            except DeviceError as error:
                if device != "auto":
                    raise
                notes.append(str(error))
            else:
                self._session = session
                self._bound = _BoundRun(session, "cuda")
                self.device = f"{DEVICE_TITLES[name]}: {gpu_name()}"
                return
        self.device_note = " ".join(notes)

    @classmethod
    def load(
        cls,
        path_or_name: str | Path = DEFAULT_MODEL,
        device: Device = "auto",
    ) -> Self:
        """Open a model file, see `find_model`, and check it against its own specification.

        Raises ModelError when the file is
        missing, is not a model of Kilas or disagrees with its specification, and DeviceError when
        `device` is asked for and cannot be used.
        """
        return cls(find_model(path_or_name), device)

    @property
    def has_attention(self) -> bool:
        """True if the model can return its attention."""
        return self._has_attention

    def run(
        self, signal: npt.NDArray[np.generic], want_attention: bool = False
    ) -> tuple[Float32Array, Float32Array | None]:
        """Score a batch of windows.

        `signal`: [N, T, R, H, W, C] as the spec states, N >= 1; uint8 for gray, float32 for motion.
        Returns the scores, float32 [N, labels], and the attention, float32 [N, R, T', H', W'], or
        None when it was not asked for or the file has none. Raises ValueError for another shape or
        dtype.
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
        """Run every batch size up to `max_batch` once, so that the first real batches are fast."""
        for batch in range(1, max_batch + 1):
            self.run(self._blank(batch), want_attention=True)

    def _blank(self, batch: int) -> npt.NDArray[np.generic]:
        return np.zeros((batch, *self.spec.window_shape), _SIGNAL_DTYPES[self.spec.signal])

    def _check_sums(self) -> None:
        """Check that the scores of a blank window sum to 1; raise ModelError if not."""
        try:
            scores, _ = self.run(self._blank(1))
        except LOAD_ERRORS as error:
            raise ModelError(
                f"The model {self.path.name} does not run ({first_line_of(error)}); "
                "export it again."
            ) from error
        total = float(scores.sum())
        if not abs(total - 1) < SUM_TOLERANCE:
            raise ModelError(
                f"The model {self.path.name} is not usable: expected scores that sum to 1, found "
                f"{total:.3f}; export it with a softmax at its end."
            )


class _BoundRun:
    """Runner of a session through input buffers that stay on the device.

    There is a buffer for each batch size. `device_type`: ONNX Runtime's name of the memory, such as
    "cuda".
    """

    def __init__(self, session: onnxruntime.InferenceSession, device_type: str) -> None:
        self._session = session
        self._device_type = device_type
        self._buffers: dict[int, onnxruntime.OrtValue] = {}

    def run(self, names: list[str], signal: npt.NDArray[np.generic]) -> list[Float32Array]:
        """Return the outputs `names` of the session for `signal`."""
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


def _checked_spec(path: Path, session: onnxruntime.InferenceSession) -> ModelSpec:
    """Return the spec of the file; raise ModelError if its inputs and outputs differ from it."""
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


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """Status of a device: whether it can be used here, and `why` or why not, in one sentence."""

    device: str
    usable: bool
    why: str


def device_report(model: str | Path = DEFAULT_MODEL) -> list[DeviceStatus]:
    """Return the status of every device, tested with a session of `model`.

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
