"""Small models in files, made with onnx."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.spec import METADATA_KEY, ModelSpec

onnx = pytest.importorskip("onnx", reason="files for these tests are made with onnx")

SPEC = ModelSpec(
    name="small",
    version="1",
    architecture="none",
    labels=("none", "positive", "surprise"),
    rate_hz=30.0,
    frames=4,
    region_layout="triple",
    signal="motion",
    normalisation="none",
)
GRAY_SPEC = dataclasses.replace(SPEC, signal="gray")


def make_file(
    path: Path,
    spec: ModelSpec = SPEC,
    *,
    metadata: dict[str, str] | None = None,
    input_name: str = "signal",
    input_shape: list[Any] | None = None,
    input_type: int | None = None,
    scores_name: str = "scores",
    swap_attention: bool = False,
    labels: int | None = None,
    softmax: bool = True,
) -> Path:
    """A network that is as small as can be: the scores depend on the mean of the window, and
    the attention is the mean over the channels."""
    make, kinds = onnx.helper, onnx.TensorProto
    _, _, height, width, _ = spec.window_shape
    gray = kinds.UINT8 if spec.signal == "gray" else kinds.FLOAT
    labels = len(spec.labels) if labels is None else labels
    nodes = [
        make.make_node("Cast", [input_name], ["x"], to=kinds.FLOAT),
        make.make_node(
            "Transpose", ["x"], ["t"], perm=list(range(6)) if swap_attention else [0, 2, 1, 3, 4, 5]
        ),
        make.make_node("ReduceMean", ["t"], ["attention"], axes=[5], keepdims=0),
        make.make_node("ReduceMean", ["attention"], ["m"], axes=[1, 2, 3, 4], keepdims=0),
        make.make_node("Unsqueeze", ["m", "one"], ["c"]),
        make.make_node("MatMul", ["c", "w"], ["l"]),
        make.make_node("Softmax" if softmax else "Identity", ["l"], [scores_name]),
    ]
    weights = np.arange(labels, dtype=np.float32).reshape(1, -1)
    graph = make.make_graph(
        nodes,
        "small",
        [
            make.make_tensor_value_info(
                input_name,
                gray if input_type is None else input_type,
                input_shape or ["N", *spec.window_shape],
            )
        ],
        [
            make.make_tensor_value_info(scores_name, kinds.FLOAT, ["N", labels]),
            make.make_tensor_value_info("attention", kinds.FLOAT, ["N", None, None, height, width]),
        ],
        [
            onnx.numpy_helper.from_array(weights, "w"),
            onnx.numpy_helper.from_array(np.array([1]), "one"),
        ],
    )
    file = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    make.set_model_props(file, {METADATA_KEY: spec.to_json()} if metadata is None else metadata)
    onnx.save(file, path)
    return path


def windows(spec: ModelSpec, batch: int) -> np.ndarray:
    random = np.random.default_rng(3)
    shape = (batch, *spec.window_shape)
    if spec.signal == "gray":
        return random.integers(0, 4, shape, dtype=np.uint8)
    return random.normal(size=shape).astype(np.float32)
