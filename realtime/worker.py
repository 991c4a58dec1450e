"""The hand-off slot and the thread in which the network runs, so that nothing waits for it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from realtime.spec import ModelSpec
from realtime.types import Float32Array, Scores, Window

Policy = Literal["latest", "wait"]

STOP_TIMEOUT_S = 3.0
"""How long closing waits for a model that does not return; longer, and users kill the program."""


class Network(Protocol):
    """What the worker needs of a model; `realtime.model.Model` is one."""

    @property
    def spec(self) -> ModelSpec: ...
    def run(
        self, signal: npt.NDArray[np.generic], want_attention: bool = False
    ) -> tuple[Float32Array, Float32Array | None]: ...


@dataclass(frozen=True, slots=True)
class _Batch:
    windows: tuple[Window, ...]
    handed_over_s: float  # time.perf_counter()


class Worker:
    """Runs a network in a thread of its own, one batch of windows at a time.

    `policy` says what happens to a batch that comes while the network is busy. "latest", for
    live sources: it waits in a slot that holds one batch, and a newer one takes its place;
    each window replaced is counted in `drops["model busy"]`. "wait", for files: nothing is
    dropped, and results do not depend on the machine's speed.

    `exchange`, `finish`, `close` and `drops` belong to the one thread that made the worker.
    `want_attention` may be set by any thread and holds from the next batch on. The network is
    called from the worker's thread only. When it raises, the same exception is raised again by
    every verb that follows, with the traceback of the worker's thread.
    """

    def __init__(self, network: Network, policy: Policy) -> None:
        self.want_attention = False
        self.drops: Counter[str] = Counter()
        self._network = network
        self._policy = policy
        self._changed = threading.Condition()  # guards all that follows
        self._waiting: _Batch | None = None
        self._is_running = False
        self._done: list[Scores] = []
        self._error: BaseException | None = None
        self._is_error_seen = False
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="kilas-model", daemon=True)
        self._thread.start()

    def exchange(self, windows: Sequence[Window]) -> list[Scores]:
        """Hand over the windows of one frame, all its faces in one batch, and take results.

        "latest": never waits; returns whatever has been finished since the last call. "wait":
        waits until what was handed over before is finished and returns exactly its scores, also
        when `windows` is empty: the network works on the windows of one frame while the caller
        prepares the next. Scores come in the order of their windows.
        """
        with self._changed:
            if self._policy == "wait":
                self._wait_until_idle()
            self._check()
            if windows:
                if self._waiting is not None:
                    self.drops["model busy"] += len(self._waiting.windows)
                self._waiting = _Batch(tuple(windows), time.perf_counter())
                self._changed.notify_all()
            return self._take()

    def finish(self) -> list[Scores]:
        """Wait for everything handed over and return the scores not yet taken."""
        with self._changed:
            self._wait_until_idle()
            self._check()
            return self._take()

    def close(self) -> None:
        """Stop the thread. A batch in the slot is dropped and counted in `drops["stopped"]`.

        Waits `STOP_TIMEOUT_S` at most: a network that hangs is left to a daemon thread, whose
        result nobody takes. Raises the network's error if no verb has raised it yet. May be
        called again; the other verbs then raise RuntimeError.
        """
        self._stop()
        with self._changed:
            if self._error is not None and not self._is_error_seen:
                self._check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._stop()  # the error under way is the one to be seen

    def _stop(self) -> None:
        with self._changed:
            if self._waiting is not None:
                self.drops["stopped"] += len(self._waiting.windows)
                self._waiting = None
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(STOP_TIMEOUT_S)

    def _wait_until_idle(self) -> None:
        self._changed.wait_for(
            lambda: (
                self._is_closed
                or self._error is not None
                or (self._waiting is None and not self._is_running)
            )
        )

    def _check(self) -> None:
        if self._error is not None:
            self._is_error_seen = True
            raise self._error
        if self._is_closed:
            raise RuntimeError("the worker is closed")

    def _take(self) -> list[Scores]:
        done, self._done = self._done, []
        return done

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._waiting is not None)
                if self._is_closed or self._waiting is None:
                    return
                batch, self._waiting = self._waiting, None
                self._is_running = True
            try:
                scores = self._score(batch)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller
                with self._changed:
                    self._error = error
                    self._is_running = False
                    self._changed.notify_all()
                return
            with self._changed:
                self._done.extend(scores)
                self._is_running = False
                self._changed.notify_all()

    def _score(self, batch: _Batch) -> list[Scores]:
        spec = self._network.spec
        signal = np.stack([window.signal for window in batch.windows])
        probabilities, attention = self._network.run(signal, self.want_attention)
        latency_s = time.perf_counter() - batch.handed_over_s
        scored = spec.frames - 1 - spec.lookahead
        return [
            Scores(
                face_id=window.face_id,
                t_s=window.start_s + scored / spec.rate_hz,
                probabilities=tuple(map(float, probabilities[index])),
                latency_s=latency_s,
                attention=None if attention is None else attention[index],
                # A copy: a part of the window would keep all of it in memory.
                motion=window.signal[scored:].astype(np.float32)
                if spec.signal == "motion"
                else None,
            )
            for index, window in enumerate(batch.windows)
        ]
