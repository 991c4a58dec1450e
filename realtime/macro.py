"""The model of macro-expressions, opened: one gray face -> scores of the seven basic expressions.

A still-image network says what a face shows at one moment, as a rule on purpose; the
spotting network says what it lets slip. The file describes itself, as those of `realtime.model`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from realtime.errors import ModelError
from realtime.model import SUM_TOLERANCE, WEIGHTS_FOLDER
from realtime.spec import FACE_SIZE
from realtime.types import Float32Array, UInt8Array

METADATA_KEY = "kilas-macro"
"""Key of the ONNX metadata under which the spec is stored as JSON."""

MACRO_FOLDER = WEIGHTS_FOLDER / "macro"
DEFAULT_MACRO = "kilas-macro"

FACE_PX = 48
"""Side of the gray face that the networks see, as in FER2013."""

ALIGNED_EYES_APART_PX, ALIGNED_EYES_Y_PX = 80.0, 38.0
"""Where `realtime.landmarks` puts the outer eye corners on the aligned face."""

INPUT, SCORES = "faces", "scores"

LARGEST_STEP = 2.0
"""Pixels of the picture from one sample of the face to the next: linear interpolation reads about
as many, so hardly one is passed over. With 1 a cut takes three times as long, and of 40 faces none
got another label."""


@dataclass(frozen=True, slots=True)
class MacroSpec:
    """What a model of macro-expressions needs, and what its output means.

    `labels`: meaning of the output's columns. `eyes_apart_px`, `eyes_y_px`: where the outer eye
    corners are in the 48 x 48 face, whose middle is between them: on the mean face of the
    training data. `normalisation`, `both_sides`, `temperature`: what the graph does with a face
    and with its logits; `both_sides`: the mean of the face and its mirror image. `provenance`:
    data, recipe, seed, commit and measured results.
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
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = [
            (not self.labels or len(set(self.labels)) != len(self.labels), "labels must differ"),
            (not 0 < self.eyes_apart_px <= FACE_PX, "eyes_apart_px must lie inside the face"),
            (not 0 <= self.eyes_y_px <= FACE_PX, "eyes_y_px must lie inside the face"),
            (not self.temperature > 0, "temperature must be positive"),
        ]
        for is_wrong, message in problems:
            if is_wrong:
                raise ModelError(f"The model's specification is not valid: {message}.")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> MacroSpec:
        """Raises ModelError when the text is not a complete and valid specification."""
        try:
            values = json.loads(text)
            return cls(**values | {"labels": tuple(values["labels"])})
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(
                f"The model's specification cannot be read ({error}); export the model again."
            ) from error


class MacroModel:
    """A checked model file and its session, on one thread of the CPU. For any thread.

    `spec`, `path`, `sha256` (of the file's bytes, hexadecimal): what was loaded.
    """

    def __init__(self, path: Path) -> None:
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
        except Exception as error:
            raise ModelError(
                f"The model {path} is not usable: expected an ONNX file, found {len(content)} "
                "bytes that ONNX Runtime cannot read."
            ) from error
        self.spec = self._checked_spec()

    @classmethod
    def load(cls, name_or_path: str | Path = DEFAULT_MACRO) -> Self:
        """Open a model that ships, by its name, or a file.

        Raises ModelError when it is missing, is no model of macro-expressions or disagrees with
        its specification.
        """
        shipped = MACRO_FOLDER / f"{name_or_path}.onnx"
        path = shipped if shipped.is_file() else Path(name_or_path)
        if not path.is_file():
            known = ", ".join(sorted(one.stem for one in MACRO_FOLDER.glob("*.onnx"))) or "none"
            raise ModelError(
                f"There is no model of macro-expressions {str(name_or_path)!r}: give the path of "
                f"an .onnx file or one of those that ship ({known})."
            )
        return cls(path)

    def run(self, faces: UInt8Array) -> Float32Array:
        """Score gray faces, uint8 [N, 48, 48] with N >= 1: float32 [N, labels], each row sums to
        1. Raises ValueError for another shape or dtype."""
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
        metadata = self._session.get_modelmeta().custom_metadata_map
        if METADATA_KEY not in metadata:
            found = ", ".join(map(repr, sorted(metadata))) or "no metadata"
            raise ModelError(
                f"The model {self.path.name} is none of macro-expressions: expected the metadata "
                f"key {METADATA_KEY!r}, found {found}; export it with `python -m training macro "
                "export`."
            )
        spec = MacroSpec.from_json(metadata[METADATA_KEY])
        nodes = {
            node.name: (node.type, list(node.shape))
            for node in (*self._session.get_inputs(), *self._session.get_outputs())
        }
        for name, kind, sizes in (
            (INPUT, "tensor(uint8)", [FACE_PX, FACE_PX]),
            (SCORES, "tensor(float)", [len(spec.labels)]),
        ):
            found_kind, shape = nodes.get(name, ("nothing", []))
            # The number of faces must be free.
            if found_kind != kind or not isinstance(shape[0], str) or shape[1:] != sizes:
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


def cut_face(
    image_bgr: UInt8Array, transform: npt.NDArray[np.floating[Any]], spec: MacroSpec
) -> UInt8Array:
    """Cut a face out of a picture as the model wants it: upright, gray, uint8 [48, 48].

    `image_bgr`: uint8 [H, W, 3]; `transform`: of `realtime.types.Face`, which holds still while
    the head does. Beside the picture its edge goes on.
    """
    scale = spec.eyes_apart_px / ALIGNED_EYES_APART_PX
    to_face = np.array(
        [
            [scale, 0.0, (FACE_PX - 1) / 2 - scale * FACE_SIZE / 2],
            [0.0, scale, spec.eyes_y_px - scale * ALIGNED_EYES_Y_PX],
        ]
    )
    whole = to_face @ np.vstack([transform, [0.0, 0.0, 1.0]])
    step = 1.0 / np.hypot(whole[0, 0], whole[1, 0])  # pixels of the picture
    fine = max(1, int(np.ceil(step / LARGEST_STEP)))
    # The middle of a pixel stays in the middle of the fine pixels that make it.
    whole = fine * whole + [[0.0, 0.0, (fine - 1) / 2]]
    side = (fine * FACE_PX, fine * FACE_PX)
    cut = cv2.warpAffine(image_bgr, whole, side, borderMode=cv2.BORDER_REPLICATE)
    gray = cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY)
    if fine > 1:
        gray = cv2.resize(gray, (FACE_PX, FACE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8)
