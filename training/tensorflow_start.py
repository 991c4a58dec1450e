"""Start of TensorFlow without the lines that it writes about itself."""

from __future__ import annotations

import importlib.util
import logging
import os

from realtime.errors import KilasError
from realtime.native_log import without_native_log

NOT_INSTALLED = (
    "TensorFlow is not installed; run training by `uv run --extra training`, on Python 3.13 or "
    "older, because TensorFlow has no release for Python 3.14 yet."
)


def start_tensorflow() -> None:
    """Import Keras and its back end, which takes seconds, and keep their notes off the terminal.

    TensorFlow reports graphics cards and libraries that it does not find, and functions that it
    traces again; none of that has to do with the training. Failures are raised as ever. Raises
    KilasError, with what to install, where TensorFlow is missing.
    """
    wanted = os.environ.get("KERAS_BACKEND", "tensorflow")
    if wanted == "tensorflow" and importlib.util.find_spec("tensorflow") is None:
        raise KilasError(NOT_INSTALLED)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with without_native_log():
        import keras

        keras.backend.backend()
