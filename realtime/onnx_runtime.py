"""ONNX Runtime, which sends nothing to its makers. Import it from here and nowhere else."""

from __future__ import annotations

import os

# From version 1.29 on, ONNX Runtime sends names and hashes of models to a server of Microsoft, on
# Linux and macOS unless this is set before it is loaded, on Windows unless it is called off.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime", "ort_errors"]
