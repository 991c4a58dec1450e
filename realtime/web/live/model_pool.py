"""Models that visitors can choose, each opened once for all of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from realtime.inference.devices import Device
from realtime.inference.model import DEFAULT_MODEL, Model, list_models
from realtime.inference.worker import LARGEST_RUN, InferenceWorker
from realtime.macro.model import MacroModel
from realtime.monitor import Monitor


class ModelPool:
    """Pool of models: each is opened at its first use, and kept running for all visitors.

    `names`: of the models on offer, the default first. `macro`: the model of macro-expressions
    that all visitors share; None: they are not scored. Any thread may call `get`; the thread that
    made the pool calls `close`, once nobody uses the models any more.
    """

    def __init__(
        self,
        models: Sequence[str | Path] | None = None,
        *,
        device: Device = "auto",
        macro: MacroModel | None = None,
    ) -> None:
        """Offer models on a device.

        `models`: names of models that ship with Kilas and paths of others; None: all that ship.
        """
        if models is None:
            shipped = list_models()
            models = sorted(shipped, key=lambda name: (name != DEFAULT_MODEL, name))
        self._models = {Path(model).stem: model for model in models}
        self.names = tuple(self._models)
        self.macro = macro
        self._device = device
        self._lock = threading.Lock()  # guards what follows
        self._workers: dict[str, InferenceWorker[Model]] = {}

    def get(self, name: str) -> InferenceWorker[Model]:
        """Return the worker of the model of that name, which all visitors share.

        Takes seconds the first time, and again after it has failed. Raises ModelError, DeviceError,
        and KeyError for a name that is not among `names`.
        """
        with self._lock:
            worker = self._workers.get(name)
            if worker is None or worker.has_failed:
                model = Model.load(self._models[name], self._device)
                model.warm_up(LARGEST_RUN)
                self._workers[name] = worker = InferenceWorker(model)
            return worker

    def warm_up(self) -> None:
        """Open the default model and all that a monitor needs.

        So the first visitor waits no longer than the others. Raises as `get` does.
        """
        Monitor(self.get(self.names[0]), macro=self.macro or False).close()

    def close(self) -> None:
        """Stop all models."""
        with ExitStack() as stopped:
            for worker in self._workers.values():
                stopped.callback(worker.close)
