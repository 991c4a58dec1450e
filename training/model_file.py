"""Reading and rewriting of what an exported model file states."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx

from realtime.errors import KilasError
from realtime.spec import METADATA_KEY, ModelSpec, SpottingSpec


def check_subjects_unseen(
    spec: ModelSpec, subjects: Iterable[str], with_thresholds: bool = False
) -> None:
    """Raise KilasError when the model was trained on one of these people: figures on them, and
    thresholds chosen on them, would flatter it. `with_thresholds`: or when its thresholds were
    chosen on one of them, as figures want it."""
    people = set(subjects)
    uses = {"The model was trained": spec.provenance.get("subjects", ())}
    if with_thresholds:
        chosen_on = spec.provenance.get("thresholds", {})
        uses["The model's thresholds were chosen"] = chosen_on.get("subjects", ())
    for use, known in uses.items():
        both = people.intersection(known)
        if both:
            raise KilasError(
                f"{use} on {min(both)}, who is also among these people; measure on people that it "
                "has never seen."
            )


def weights_sha256(model: Path) -> str:
    """The hash of a model file's weights: names, shapes, types and values of its initialisers, in
    hexadecimal. Figures and thresholds that are written into the file later do not change it."""
    weights = hashlib.sha256()
    for tensor in sorted(onnx.load(model).graph.initializer, key=lambda tensor: tensor.name):
        values = onnx.numpy_helper.to_array(tensor)
        weights.update(f"{tensor.name} {values.dtype} {values.shape}".encode())
        weights.update(values.tobytes())
    return weights.hexdigest()


def update_model_metadata(path: Path, spotting: SpottingSpec | None = None, **facts: Any) -> None:
    """Give a model file other spotting thresholds, or add facts to its provenance."""
    file = onnx.load(path)
    properties = {item.key: item.value for item in file.metadata_props}
    spec = ModelSpec.from_json(properties[METADATA_KEY])
    spec = dataclasses.replace(
        spec, spotting=spotting or spec.spotting, provenance=spec.provenance | facts
    )
    onnx.helper.set_model_props(file, properties | {METADATA_KEY: spec.to_json()})
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
        draft = Path(folder) / path.name
        onnx.save(file, draft)
        os.replace(draft, path)
