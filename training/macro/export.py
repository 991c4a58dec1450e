"""Export of a trained still-image network to the ONNX file that the monitor loads.

Batch normalisation becomes part of the convolutions before it. Kernels are kept in half precision,
which halves the file; the graph turns them into float32 and computes with that. The file is
compared twice: closely with the Keras network that has the same rounded kernels, and with the
network as it was trained, which shows what the rounding costs.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers, ops
from onnx import numpy_helper

from realtime.errors import ModelError
from realtime.macro.model import FACE_PX, INPUT, MACRO_METADATA_KEY, SCORES, MacroModel, MacroSpec
from realtime.types import UInt8Array
from training.macro.calibration import LEAST_LEFT, scores_of
from training.macro.networks import in_float32
from training.macro.stills import EYES_APART_PX, EYES_Y_PX, in_parts, load_stills
from training.macro.train import NETWORK_FILE, RECORD_FILE, run
from training.models.export import BACK_END, LARGEST_DIFFERENCE, OPSET
from training.provenance import commit

SMALLEST_HALVED = 1000
"""Least size of a kernel kept in half precision; smaller kernels hardly add to the file."""

LARGEST_CHANGE = 0.01
"""Difference of a score between the trained network and the file at which an export fails.

Half precision changes the scores of the network that ships by 8.2e-4 at most, on 3,589 pictures; so
a larger difference has another cause.
"""


@dataclass(frozen=True, slots=True)
class Differences:
    """Largest differences between the scores of a file and those of Keras.

    `graph`: from the network with the same rounded kernels, on random faces. `trained`: from the
    network as it was trained, on `faces` pictures, of which `relabelled` get another label.
    """

    graph: float
    trained: float
    relabelled: int
    faces: int


def export_still(folder: Path, path: Path, data: Path | None = None) -> Differences:
    """Write the network that `train_still` left in `folder` to `path`, whole or not at all.

    The file has the input `faces` uint8 [N, 48, 48] and the output `scores` float32 [N, labels],
    N free. `data`: a file of `training.macro.stills`, on whose test side by the run's protocol the
    file is compared with the network as it was trained; random faces are used without it.

    Raises ModelError, and leaves `path` as it was, when the file's scores differ by
    LARGEST_DIFFERENCE or more from those of the same rounded kernels, or by LARGEST_CHANGE or more
    from those of the trained network, the run is not finished, or Keras runs on another back end
    than TensorFlow; KilasError when `data` does not suit the protocol.

    Example:

        from pathlib import Path
        from training.macro.export import export_still

        differences = export_still(Path("run"), Path("macro.onnx"), Path("fer2013.npz"))
        print(f"{differences.relabelled} of {differences.faces} pictures get another label")
    """
    if keras.config.backend() != BACK_END:
        raise ModelError(
            f"A model cannot be exported from Keras's back end {keras.config.backend()}; "
            f"set KERAS_BACKEND={BACK_END}, which reads what another back end has trained."
        )
    if not (folder / RECORD_FILE).exists():
        raise ModelError(f"{folder} holds no finished training; finish the training first.")
    record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    recipe = record["recipe"]
    faces = _random_faces() if data is None else _test_faces(data, recipe["training"])
    spec = MacroSpec(
        name=recipe["name"],
        version=recipe["version"],
        architecture=recipe["architecture"],
        labels=tuple(record["labels"]),
        eyes_apart_px=EYES_APART_PX,
        eyes_y_px=EYES_Y_PX,
        normalisation=recipe["normalisation"],
        both_sides=recipe["both_sides"],
        temperature=record["temperature"],
        smoothing=recipe["training"]["label_smoothing"],
        provenance={
            name: record[name]
            for name in ("recipe", "data", "commit", "temperature_chosen_on", "pictures")
        }
        | {"export_commit": commit()},
    )
    network = in_float32(keras.models.load_model(folder / NETWORK_FILE))
    return write_still_model(network, spec, path, faces)


def write_still_model(
    network: keras.Model, spec: MacroSpec, path: Path, faces: UInt8Array
) -> Differences:
    """Write a network in memory as `export_still` does.

    `network`: made by `training.macro.networks.build`. `faces`: uint8 [n, 48, 48], on which the
    file is compared with the network.
    """
    rounded = fold(network)
    for weight in rounded.weights:
        if int(np.prod(weight.shape)) >= SMALLEST_HALVED:
            weight.assign(np.asarray(weight).astype(np.float16).astype(np.float32))
    full = with_scores(rounded, spec)
    any_faces = _random_faces()
    same = np.asarray(full.predict_on_batch(any_faces))
    trained = scores_of(
        run(network, faces, both_sides=spec.both_sides), spec.temperature, spec.smoothing
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
        draft = Path(folder) / path.name
        full.export(str(draft), format="onnx", opset_version=OPSET, verbose=False)
        file = onnx.load(draft)
        _rename(file)
        _halve(file)
        onnx.helper.set_model_props(file, {MACRO_METADATA_KEY: spec.to_json()})
        onnx.checker.check_model(file)
        onnx.save(file, draft)
        written = MacroModel(draft)
        found = in_parts(written.run, faces)
        differences = Differences(
            graph=float(np.abs(written.run(any_faces) - same).max()),
            trained=float(np.abs(found - trained).max()),
            relabelled=int((found.argmax(axis=1) != trained.argmax(axis=1)).sum()),
            faces=len(faces),
        )
        for difference, most, of in (
            (differences.graph, LARGEST_DIFFERENCE, "Keras"),
            (differences.trained, LARGEST_CHANGE, "the network as it was trained"),
        ):
            if not difference < most:  # also when it is not a number
                raise ModelError(
                    f"The exported model differs from {of} by {difference:.1e}, more than "
                    f"{most:.0e}; {path.name} was not written."
                )
        os.replace(draft, path)
    return differences


def fold(network: keras.Model) -> keras.Model:
    """Return a network that computes the same without batch normalisation.

    Each batch normalisation has to follow a convolution without a bias, and becomes part of that
    convolution's kernel and bias.
    """
    folded = {
        layer.input._keras_history.operation.name: layer
        for layer in network.layers
        if isinstance(layer, layers.BatchNormalization)
    }

    def plain(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, layers.BatchNormalization):
            return layers.Activation("linear", name=layer.name, dtype="float32")
        changes = {"use_bias": True} if layer.name in folded else {}
        copy: keras.Layer = type(layer).from_config(layer.get_config() | changes)
        return copy

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        options.pop("mask", None)  # batch normalisation takes it, but not the layer in its place
        return layer(*inputs, **options)

    result = keras.models.clone_model(network, clone_function=plain, call_function=call)
    for layer in network.layers:
        copy = result.get_layer(layer.name)
        if layer.name in folded:
            norm = folded[layer.name]
            gamma, beta, mean, variance = (
                np.asarray(weight, np.float64)
                for weight in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
            )
            scale = gamma / np.sqrt(variance + norm.epsilon)
            copy.set_weights([np.asarray(layer.kernel) * scale, beta - mean * scale])
        elif not isinstance(layer, layers.BatchNormalization):
            copy.set_weights(layer.get_weights())
    return result


def with_scores(network: keras.Model, spec: MacroSpec) -> keras.Model:
    """Return the network with uint8 gray levels as input and calibrated scores as output.

    The scores are those of `training.macro.calibration.scores_of`.
    """
    faces = layers.Input((FACE_PX, FACE_PX), dtype="uint8", name=INPUT)
    gray = ops.cast(faces, "float32")
    if spec.both_sides:
        # As one batch, so that the kernels are in the file once.
        logits = network(ops.concatenate([gray, ops.flip(gray, axis=2)], axis=0))
        one, other = ops.split(ops.softmax(logits / spec.temperature, axis=-1), 2, axis=0)
        scores = (one + other) / 2.0
    else:
        scores = ops.softmax(network(gray) / spec.temperature, axis=-1)
    if spec.smoothing:
        scores = ops.maximum(scores - spec.smoothing / len(spec.labels), LEAST_LEFT)
        scores = scores / ops.sum(scores, axis=-1, keepdims=True)
    named = layers.Identity(name=SCORES, dtype="float32")  # whatever the training's precision was
    return keras.Model(faces, named(scores))


def _rename(file: onnx.ModelProto) -> None:
    """Give input and output the names that the monitor asks for, and a free number of faces."""
    names = {file.graph.input[0].name: INPUT, file.graph.output[0].name: SCORES}
    for node in file.graph.node:
        for ends in (node.input, node.output):
            for place, name in enumerate(ends):
                ends[place] = names.get(name, name)
    for value in (file.graph.input[0], file.graph.output[0]):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "N"


def _halve(file: onnx.ModelProto) -> None:
    """Keep large kernels in half precision; ONNX Runtime turns them back once, when it loads."""
    casts = []
    for kernel in list(file.graph.initializer):
        values = numpy_helper.to_array(kernel)
        if values.dtype != np.float32 or values.size < SMALLEST_HALVED:
            continue
        half = f"{kernel.name}/half"
        file.graph.initializer.remove(kernel)
        file.graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(
            onnx.helper.make_node("Cast", [half], [kernel.name], to=onnx.TensorProto.FLOAT)
        )
    nodes = list(file.graph.node)
    del file.graph.node[:]
    file.graph.node.extend([*casts, *nodes])


def _test_faces(data: Path, training: dict[str, Any]) -> UInt8Array:
    """Return the pictures that a training with these settings is tested on."""
    stills = load_stills(data)
    protocol = stills.fold(training["protocol"], training["seed"], training["validation_share"])
    return stills.images[protocol.test]


def _random_faces() -> UInt8Array:
    return np.random.default_rng(0).integers(0, 256, (5, FACE_PX, FACE_PX), np.uint8)
