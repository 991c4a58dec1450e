"""Reading and rewriting of the metadata of an exported model file."""

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
    """Check that the model was not trained on any of these people.

    Metrics on such people, and thresholds chosen on them, would flatter the model.
    `with_thresholds`: check also that its thresholds were not chosen on any of them, as metrics
    need it. Raises KilasError when it was or they were.
    """
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
    """Return the SHA-256 hash of a model file's weights, in hexadecimal.

    It covers names, shapes, types and values of the initialisers; metrics and thresholds that are
    written into the file later do not change it.
    """
    weights = hashlib.sha256()
    for tensor in sorted(onnx.load(model).graph.initializer, key=lambda tensor: tensor.name):
        values = onnx.numpy_helper.to_array(tensor)
        weights.update(f"{tensor.name} {values.dtype} {values.shape}".encode())
        weights.update(values.tobytes())
    return weights.hexdigest()


def update_model_metadata(
    path: Path, spotting: SpottingSpec | None = None, **provenance: Any
) -> None:
    """Replace the spotting thresholds of a model file, or add entries to its provenance."""
    file = onnx.load(path)
    properties = {item.key: item.value for item in file.metadata_props}
    spec = ModelSpec.from_json(properties[METADATA_KEY])
    spec = dataclasses.replace(
        spec, spotting=spotting or spec.spotting, provenance=spec.provenance | provenance
    )
    onnx.helper.set_model_props(file, properties | {METADATA_KEY: spec.to_json()})
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
        draft = Path(folder) / path.name
        onnx.save(file, draft)
        os.replace(draft, path)
