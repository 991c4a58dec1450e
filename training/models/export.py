"""Export of a trained Keras model to the ONNX file that the monitor loads.

The file computes the same as the Keras model, in another order: ONNX Runtime has fast kernels for
2D convolution and pooling and slow kernels for 3D, so that a window takes a third less time when
its slots are laid side by side as channels. It computes in float32, whatever precision the model
was trained in. The check against Keras covers both.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx
from keras import layers, ops

from realtime.errors import ModelError
from realtime.onnx_runtime import onnxruntime
from realtime.spec import METADATA_KEY, ModelSpec
from training.models.architectures import with_attention
from training.models.train import NETWORK_FILE, RECORD_FILE
from training.provenance import commit
from training.recipe import Recipe, weights_from

BACK_END = "tensorflow"  # of Keras: tf2onnx reads its graphs

OPSET = 17  # everything the networks need; read by every onnxruntime since 1.12

LARGEST_DIFFERENCE = 1e-5
"""Limit of the difference between Keras and ONNX Runtime, in either output: float32 rounding stays
near 1e-6."""

OUTPUTS = ("scores", "attention")  # networks without hybrid attention have the first only

CHECKED_BATCHES = (1, 5)  # two sizes, because the batch must be free


def export(model: keras.Model, spec: ModelSpec, path: Path, *, both_sides: bool = False) -> float:
    """Write a Keras model with its spec to an ONNX file, whole or not at all.

    `model`: from `training.models.architectures.build`; `both_sides`: see `with_attention` there.
    The file has the input `signal` [N, T, R, H, W, C] and the outputs `scores` [N, labels] and,
    where the network has hybrid attention, `attention` [N, R, T', H', W'], N free, all in float32.
    Returns the largest difference between its outputs and those of Keras on random windows. Raises
    ModelError, and leaves `path` as it was, when that is `LARGEST_DIFFERENCE` or more, or Keras
    runs on another back end than BACK_END.
    """
    if keras.config.backend() != BACK_END:
        raise ModelError(
            f"A model cannot be exported from Keras's back end {keras.config.backend()}; "
            f"set KERAS_BACKEND={BACK_END}, which also reads models of other back ends."
        )
    if tuple(model.input_shape[1:]) != spec.window_shape:
        raise ModelError(
            f"The model takes windows {tuple(model.input_shape[1:])}, but its specification has "
            f"{spec.window_shape}; build it from the same specification."
        )
    reference = with_attention(_float32(model), spec, both_sides=both_sides)
    expected = [_run_keras(reference, signal) for signal in _random_signals(spec)]
    full = with_attention(_float32(model, planar=True), spec, both_sides=both_sides)
    full(ops.zeros((1, *spec.window_shape), model.input.dtype))  # Keras needs a run before export
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
        draft = Path(folder) / path.name
        full.export(str(draft), format="onnx", opset_version=OPSET, verbose=False)
        _describe(draft, spec, full)
        difference = _largest_difference(draft, spec, expected)
        if not difference < LARGEST_DIFFERENCE:  # also when it is not a number
            raise ModelError(
                f"The exported model differs from Keras by {difference:.1e}, more than "
                f"{LARGEST_DIFFERENCE:.0e}; {path.name} was not written."
            )
        os.replace(draft, path)
    return difference


def export_run(run: Path, recipe: Recipe, path: Path) -> float:
    """Export the network that `train` left in the folder `run`, with its provenance.

    See `export`. Raises ModelError when the network cannot be read or was trained with another
    recipe.
    """
    if not (run / RECORD_FILE).exists():
        raise ModelError(f"{run} holds no finished training; train it to its end first.")
    record = json.loads((run / RECORD_FILE).read_text(encoding="utf-8"))
    if recipe.samples is not None:  # its labels are those of the data that it was trained on
        labels = tuple(record["recipe"]["spec"]["labels"])
        recipe = dataclasses.replace(recipe, spec=dataclasses.replace(recipe.spec, labels=labels))
    wanted = json.loads(json.dumps(weights_from(dataclasses.asdict(recipe))))
    trained = weights_from(record["recipe"])
    changed = [key for key in wanted if wanted[key] != trained[key]]
    if changed:
        raise ModelError(
            f"{run} was trained with another recipe ({', '.join(changed)} differ); give that "
            "recipe."
        )
    provenance = {
        name: record[name] for name in ("data", "recipe", "commit", "subjects", "held_out_subjects")
    } | {"export": {"both_sides": recipe.both_sides, "commit": commit()}}
    try:
        network = keras.models.load_model(run / NETWORK_FILE)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{run / 'model.keras'} was made by another version and cannot be read "
            f"({str(error).strip().splitlines()[-1]}); train again."
        ) from error
    spec = dataclasses.replace(recipe.spec, provenance=provenance)
    return export(network, spec, path, both_sides=recipe.both_sides)


class _PlanarConv3D(layers.Conv3D):
    """Conv3D as a single 2D convolution: the slots under the kernel are stacked as channels."""

    def call(self, inputs: Any) -> Any:
        depth, height, width = self.kernel_size
        if self.padding == "same":
            before = (depth - 1) // 2
            inputs = ops.pad(inputs, [(0, 0), (before, depth - 1 - before)] + [(0, 0)] * 3)
        slots = inputs.shape[1] - depth + 1
        stacked = ops.concatenate([inputs[:, i : i + slots] for i in range(depth)], axis=-1)
        planes = ops.reshape(stacked, (-1, *stacked.shape[2:]))
        kernel = ops.transpose(self.kernel, (1, 2, 0, 3, 4))
        kernel = ops.reshape(kernel, (height, width, -1, self.filters))
        result = self.activation(ops.conv(planes, kernel, padding=self.padding) + self.bias)
        return ops.reshape(result, (-1, slots, *result.shape[1:]))


class _PlanarMaxPooling3D(layers.Layer):
    """MaxPooling3D as 2D pooling of each slot, then the maximum over slots."""

    def __init__(self, pool: tuple[int, int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool = pool

    def call(self, inputs: Any) -> Any:
        depth, height, width = self.pool
        slots = inputs.shape[1]
        pooled = ops.max_pool(ops.reshape(inputs, (-1, *inputs.shape[2:])), (height, width))
        pooled = ops.reshape(pooled, (-1, slots, *pooled.shape[1:]))
        kept = slots // depth
        groups = ops.reshape(pooled[:, : kept * depth], (-1, kept, depth, *pooled.shape[2:]))
        return ops.max(groups, axis=2)


def _float32(model: keras.Model, *, planar: bool = False) -> keras.Model:
    """Copy a model to float32; `planar`: the 3D layers of its paths become 2D layers."""

    def copy(layer: keras.Operation) -> keras.Operation:
        settings = layer.get_config()
        if isinstance(layer, layers.Layer):  # slicing has no precision of its own
            settings["dtype"] = "float32"
        if planar and type(layer) is layers.Conv3D:
            return _PlanarConv3D.from_config(settings)
        if planar and type(layer) is layers.MaxPooling3D:
            return _PlanarMaxPooling3D(layer.pool_size, name=layer.name, dtype="float32")
        return type(layer).from_config(settings)

    same = keras.models.clone_model(model, clone_function=copy)
    same.set_weights(model.get_weights())
    return same


def _describe(path: Path, spec: ModelSpec, full: keras.Model) -> None:
    """Write the metadata into the file, and the names and shapes of its outputs."""
    file = onnx.load(path)
    shapes = {name: output.shape for name, output in zip(OUTPUTS, full.outputs, strict=False)}
    # The exporter names the outputs as it likes; their ranks tell them apart.
    names = {len(shape): name for name, shape in shapes.items()}
    renamed = {
        output.name: names[len(output.type.tensor_type.shape.dim)] for output in file.graph.output
    }
    for node in file.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    outputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *shape[1:]])
        for name, shape in shapes.items()
    ]
    del file.graph.output[:]
    file.graph.output.extend(outputs)
    file.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    file.graph.name = spec.name
    onnx.helper.set_model_props(file, {METADATA_KEY: spec.to_json()})
    onnx.checker.check_model(file, full_check=True)
    onnx.save(file, path)


def _random_signals(spec: ModelSpec) -> list[npt.NDArray[np.generic]]:
    random = np.random.default_rng(0)
    shapes = [(batch, *spec.window_shape) for batch in CHECKED_BATCHES]
    if spec.signal == "gray":
        return [random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    return [random.normal(scale=2.0, size=shape).astype(np.float32) for shape in shapes]


def _run_keras(full: keras.Model, signal: npt.NDArray[np.generic]) -> list[npt.NDArray[np.float32]]:
    return [
        ops.convert_to_numpy(output) for output in keras.tree.flatten(full(signal, training=False))
    ]


def _largest_difference(
    path: Path, spec: ModelSpec, expected: list[list[npt.NDArray[np.float32]]]
) -> float:
    """Return the largest difference between a file's outputs and those of Keras.

    `expected`: Keras's outputs for each of `_random_signals`.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    differences = [
        np.abs(ours - theirs).max()
        for signal, outputs in zip(_random_signals(spec), expected, strict=True)
        for ours, theirs in zip(outputs, session.run(None, {"signal": signal}), strict=True)
    ]
    return float(np.max(differences))  # NumPy's max, which keeps NaN
