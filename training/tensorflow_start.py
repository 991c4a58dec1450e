"""Start of TensorFlow without the lines that it writes about itself."""

from __future__ import annotations

import logging
import os

from realtime.native_log import without_native_log


def start_tensorflow() -> None:
    """Import Keras and its back end, which takes seconds, and keep their notes off the terminal.

    TensorFlow reports graphics cards and libraries that it does not find, and functions that it
    traces again; none of that has to do with the training. Failures are raised as ever.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with without_native_log():
        import keras

        keras.backend.backend()
