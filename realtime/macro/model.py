"""Model of macro-expressions: from one gray face to the scores of the seven basic expressions.

A still-image network scores the whole face at one moment, whose expression is usually deliberate;
the spotting network scores the small movements that are not. The file describes itself, as those of
`realtime.inference.model`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from realtime.errors import ModelError
from realtime.inference.onnx_file import LOAD_ERRORS, SUM_TOLERANCE, WEIGHTS_FOLDER
from realtime.onnx_runtime import onnxruntime
from realtime.types import Float32Array, UInt8Array

MACRO_METADATA_KEY = "kilas-macro"
"""Key of the ONNX metadata under which the spec is stored as JSON."""

MACRO_FOLDER = WEIGHTS_FOLDER / "macro"
"""Folder of the models of macro-expressions that ship."""
DEFAULT_MACRO = "kilas-macro"
"""Name of the model of macro-expressions that is used by default."""

FACE_PX = 48
"""Side of the gray face that the networks see, as in FER2013."""

ALIGNED_EYES_APART_PX, ALIGNED_EYES_Y_PX = 80.0, 38.0
"""Place of the outer eye corners on the aligned face, as `realtime.faces.alignment` puts them."""

INPUT, SCORES = "faces", "scores"
"""Names of the input and of the output of a model's graph."""


@dataclass(frozen=True, slots=True)
class MacroSpec:
    """Specification of a model of macro-expressions: what it needs, and what its output means.

    `labels`: meaning of the output's columns. `eyes_apart_px`, `eyes_y_px`: where the outer eye
    corners are in the 48 x 48 face, whose middle is between them: in the median of the training
    data, in pixels from its upper edge.

    `normalisation`, `both_sides`, `temperature`, `smoothing`: what the graph does with a face and
    with its logits; `both_sides`: the mean scores of the face and its mirror image; `smoothing`: of
    the training's labels, which is taken out of the scores. `provenance`: data, recipe, seed,
    commit and measured results.
    """

    name: str
    version: str
    architecture: str
    labels: tuple[str, ...]
    eyes_apart_px: float
    eyes_y_px: float
    normalisation: str
    both_sides: bool
    temperature: float
    smoothing: float
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        texts = ("name", "version", "architecture", "normalisation")
        problems = [
            *((not _is_text(getattr(self, one)), f"{one} must be a text") for one in texts),
            (
                not isinstance(self.labels, tuple) or not all(map(_is_text, self.labels)),
                "labels must be texts",
            ),
            (not self.labels or len(set(self.labels)) != len(self.labels), "labels must differ"),
            (not 0 < self.eyes_apart_px <= FACE_PX, "eyes_apart_px must lie inside the face"),
            (not 0 <= self.eyes_y_px <= FACE_PX, "eyes_y_px must lie inside the face"),
            (type(self.both_sides) is not bool, "both_sides must be true or false"),
            (not 0 < self.temperature < math.inf, "temperature must be positive"),
            (not 0 <= self.smoothing < 1, "smoothing must be at least 0 and less than 1"),
            (not isinstance(self.provenance, dict), "provenance must be a table"),
        ]
        for is_wrong, message in problems:
            if is_wrong:
                raise ModelError(f"The model's specification is not valid: {message}.")

    def to_json(self) -> str:
        """Return the specification as JSON, for the metadata of the model's file."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> MacroSpec:
        """Return the specification that a JSON text holds.

        Raises ModelError when the text is not a complete and valid specification.
        """
        try:
            values = json.loads(text)
            labels = values["labels"]
            # A text is a sequence of texts, too.
            return cls(**values | {"labels": labels if isinstance(labels, str) else tuple(labels)})
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(
                f"The model's specification cannot be read ({error}); export the model again."
            ) from error


def list_macros() -> list[str]:
    """Return the names of the models of macro-expressions that ship, sorted."""
    return sorted(path.stem for path in MACRO_FOLDER.glob("*.onnx"))


def find_macro(name_or_path: str | Path) -> Path:
    """Return the path of a model file.

    `name_or_path`: the name of a model that ships (`weights/macro/NAME.onnx`), or a path. Raises
    ModelError when there is neither.
    """
    shipped = MACRO_FOLDER / f"{name_or_path}.onnx"
    path = shipped if shipped.is_file() else Path(name_or_path)
    if not path.is_file():
        known = ", ".join(list_macros()) or "none"
        raise ModelError(
            f"There is no model of macro-expressions {str(name_or_path)!r}: give the path of "
            f"an .onnx file or one of those that ship ({known})."
        )
    return path


class MacroModel:
    """Checked model file of macro-expressions and its session, on one thread of the CPU.

    For any thread. `spec`, `path`, `sha256` (of the file's bytes, hexadecimal): the file that was
    loaded.
    """

    def __init__(self, path: Path) -> None:
        """Open and check the file at `path`; see `load`."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"The model {path} cannot be read: {error.strerror}.") from error
        self.path = path
        self.sha256 = hashlib.sha256(content).hexdigest()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except LOAD_ERRORS as error:
            raise ModelError(
                f"The model {path} is not usable: expected an ONNX file, found {len(content)} "
                "bytes that ONNX Runtime cannot read."
            ) from error
        self.spec = self._checked_spec()

    @classmethod
    def load(cls, name_or_path: str | Path = DEFAULT_MACRO) -> Self:
        """Open a model that ships, by its name, or a file.

        Raises ModelError when it is missing, is no model of macro-expressions or disagrees with its
        specification.
        """
        return cls(find_macro(name_or_path))

    def run(self, faces: UInt8Array) -> Float32Array:
        """Score gray faces, uint8 [N, 48, 48] with N >= 1: float32 [N, labels], each row sums to 1.

        Raises ValueError for another shape or dtype.
        """
        if faces.ndim != 3 or not len(faces) or faces.shape[1:] != (FACE_PX, FACE_PX):
            raise ValueError(
                f"expected faces uint8 [N >= 1, {FACE_PX}, {FACE_PX}], got {list(faces.shape)}"
            )
        if faces.dtype != np.uint8:
            raise ValueError(f"expected faces uint8, got {faces.dtype}")
        (scores,) = self._session.run([SCORES], {INPUT: np.ascontiguousarray(faces)})
        result: Float32Array = scores
        return result

    def _checked_spec(self) -> MacroSpec:
        """Return the spec of the file; raise ModelError if the graph differs from it."""
        metadata = self._session.get_modelmeta().custom_metadata_map
        if MACRO_METADATA_KEY not in metadata:
            found = ", ".join(map(repr, sorted(metadata))) or "no metadata"
            raise ModelError(
                f"The model {self.path.name} is not a model of macro-expressions: expected the "
                f"metadata key {MACRO_METADATA_KEY!r}, found {found}; export it with "
                "`python -m training macro export`."
            )
        spec = MacroSpec.from_json(metadata[MACRO_METADATA_KEY])
        nodes = {
            node.name: (node.type, list(node.shape))
            for node in (*self._session.get_inputs(), *self._session.get_outputs())
        }
        for name, kind, sizes in (
            (INPUT, "tensor(uint8)", [FACE_PX, FACE_PX]),
            (SCORES, "tensor(float)", [len(spec.labels)]),
        ):
            found_kind, shape = nodes.get(name, ("nothing", []))
            # The number of faces must be free; a scalar has none.
            if found_kind != kind or shape[1:] != sizes or not isinstance(shape[0], str):
                raise ModelError(
                    f"The model {self.path.name} disagrees with its specification: expected "
                    f"{name!r} as {kind} [N, {', '.join(map(str, sizes))}], found {found_kind} "
                    f"{shape}; export it again."
                )
        (scores,) = self._session.run([SCORES], {INPUT: np.zeros((1, FACE_PX, FACE_PX), np.uint8)})
        if not abs(float(scores.sum()) - 1.0) < SUM_TOLERANCE:
            raise ModelError(
                f"The model {self.path.name} is not usable: expected scores that sum to 1, found "
                f"{float(scores.sum()):.3f}; export it with a softmax at its end."
            )
        return spec


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


MacroChoice = bool | str | Path | MacroModel
"""Choice of macro-expressions: off, on, or the model to score them with; see `Monitor`."""


def open_macro(macro: MacroChoice) -> MacroModel | None:
    """Open the chosen model of macro-expressions; None where they are off.

    Raises ModelError when it cannot be loaded.
    """
    if isinstance(macro, bool):
        return MacroModel.load() if macro else None
    return macro if isinstance(macro, MacroModel) else MacroModel.load(macro)
