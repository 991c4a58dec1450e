"""Worker thread that runs a network, and the hand-off slots of the streams that use it."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Literal, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from realtime.spec import ModelSpec
from realtime.types import Float32Array, Scores, Window

Policy = Literal["latest", "wait"]
"""Treatment of a batch that comes while the batch before still waits; see `InferenceClient`."""

STOP_TIMEOUT_S = 3.0
"""Longest time that closing waits for a model that hangs; longer, and users kill the program."""

LARGEST_RUN = 8
"""Most windows of several clients that are run at once.

On one thread of a CPU a window takes 3.1 ms alone and 2.5 ms in a run of 4 to 8 (kilas; 2.7 in a
run of 16), and its client waits for the whole run, which with 8 takes less than a slot of the
model's clock.
"""


class WindowNetwork(Protocol):
    """Interface that the worker needs of a model, such as `realtime.inference.model.Model`."""

    @property
    def spec(self) -> ModelSpec: ...
    def run(
        self, signal: npt.NDArray[np.generic], want_attention: bool = False
    ) -> tuple[Float32Array, Float32Array | None]: ...


AnyNetwork = TypeVar("AnyNetwork", bound=WindowNetwork, covariant=True)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Windows of one frame that were handed over together."""

    windows: tuple[Window, ...]
    want_attention: bool
    handed_over_s: float  # time.perf_counter()


class InferenceWorker(Generic[AnyNetwork]):
    """Worker that runs one network in a thread of its own, for any number of streams.

    Each stream has a client. The batches that wait in all of them are run together, those that have
    waited longest first and at most `LARGEST_RUN` windows at once, and each client is given its own
    scores. So a client waits for the run under way and its own, whatever the others hand over, and
    for more only where there are too many windows for one run.

    `client` may be called by any thread; `close` belongs to the thread that made the worker. The
    network is called from the worker's thread only, so no other thread may use it meanwhile. When
    it raises, the same exception is raised again by every later call, of each client, with the
    traceback of the worker's thread.
    """

    def __init__(self, network: AnyNetwork) -> None:
        self.network = network
        self._changed = threading.Condition()  # guards everything below, and the clients' slots
        self._queue: deque[InferenceClient] = deque()  # clients whose slot is full
        self._error: BaseException | None = None
        self._error_trace: TracebackType | None = None
        self._is_error_seen = False
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="kilas-model", daemon=True)
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """True once the network has raised; it is not run again. For any thread."""
        return self._error is not None

    def client(self, policy: Policy) -> InferenceClient:
        """Return a hand-off slot for one more stream, to be closed when the stream has ended.

        Raises RuntimeError once the worker is closed.
        """
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the worker is closed")
            return InferenceClient(self, policy)

    def close(self) -> None:
        """Stop the thread. Batches that wait in the clients are dropped and counted as theirs.

        Waits `STOP_TIMEOUT_S` at most: a network that hangs is left to a daemon thread, whose
        result nobody takes. Raises the network's error if no call has raised it yet. May be called
        again; the clients' other methods then raise RuntimeError.
        """
        self._stop()
        with self._changed:
            if self._error is not None and not self._is_error_seen:
                self._raise_error()

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
            for client in list(self._queue):
                client._drop_waiting()
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(STOP_TIMEOUT_S)

    def _raise_error(self) -> None:
        assert self._error is not None
        self._is_error_seen = True
        # Without the frames of those who raised it before.
        raise self._error.with_traceback(self._error_trace)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._queue)
                if self._is_closed:
                    return
                clients, batches = self._next_run()
            try:
                scores = self._score(batches)
            except BaseException as error:  # noqa: BLE001 - raised again in the callers
                with self._changed:
                    self._error, self._error_trace = error, error.__traceback__
                    self._changed.notify_all()
                return
            with self._changed:
                for client, own in zip(clients, scores, strict=True):
                    client._done += own
                    client._is_running = False
                self._changed.notify_all()

    def _next_run(self) -> tuple[list[InferenceClient], list[_Batch]]:
        """Take the batches that have waited longest; those of one client stay together."""
        clients: list[InferenceClient] = []
        batches: list[_Batch] = []
        count = 0
        while self._queue:
            client = self._queue[0]
            assert client._waiting is not None
            count += len(client._waiting.windows)
            if clients and count > LARGEST_RUN:
                break
            clients.append(self._queue.popleft())
            batches.append(client._waiting)
            client._waiting, client._is_running = None, True
        return clients, batches

    def _score(self, batches: Sequence[_Batch]) -> list[list[Scores]]:
        """Return the scores of each batch, from one run of the network."""
        signal = np.stack([window.signal for batch in batches for window in batch.windows])
        want_attention = any(batch.want_attention for batch in batches)
        probabilities, attention = self.network.run(signal, want_attention)
        starts = np.cumsum([len(batch.windows) for batch in batches[:-1]], dtype=int)
        each: Sequence[Float32Array | None] = (
            [None] * len(batches) if attention is None else np.split(attention, starts)
        )
        return [
            _scores(self.network.spec, batch, own, looked if batch.want_attention else None)
            for batch, own, looked in zip(
                batches, np.split(probabilities, starts), each, strict=True
            )
        ]


def _scores(
    spec: ModelSpec, batch: _Batch, probabilities: Float32Array, attention: Float32Array | None
) -> list[Scores]:
    """Return the scores of the windows of one batch."""
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
            motion=window.signal[scored:].astype(np.float32) if spec.signal == "motion" else None,
        )
        for index, window in enumerate(batch.windows)
    ]


class InferenceClient:
    """Access of one stream to the shared worker: windows in, scores out.

    Clients are made by `InferenceWorker.client`. `policy` decides about a batch that comes while
    the batch before still waits. "latest", for live sources: there is a slot that holds one batch,
    and a newer batch takes its place, also in the order of the clients; each window replaced is
    counted in `drops["model busy"]`. "wait", for files: nothing is dropped, and results do not
    depend on the machine's speed.

    `exchange`, `finish`, `close` and `drops` belong to one thread. `want_attention` may be set by
    any thread and holds from the next batch on.
    """

    def __init__(self, worker: InferenceWorker[WindowNetwork], policy: Policy) -> None:
        self.want_attention = False
        self.drops: Counter[str] = Counter()
        self._worker = worker
        self._policy = policy
        self._changed = worker._changed  # guards everything below
        self._waiting: _Batch | None = None
        self._is_running = False
        self._done: list[Scores] = []
        self._is_error_seen = False
        self._is_closed = False

    def exchange(self, windows: Sequence[Window]) -> list[Scores]:
        """Hand over the windows of one frame, all its faces in one batch, and take results.

        "latest": never waits; returns whatever has been finished since the last call. "wait": waits
        until everything that was handed over before is finished and returns exactly its scores,
        also when `windows` is empty: the network works on the windows of one frame while the caller
        prepares the next. Scores come in the order of their windows.
        """
        with self._changed:
            if self._policy == "wait":
                self._wait_until_idle()
            self._check()
            if windows:
                if self._waiting is None:
                    self._worker._queue.append(self)
                else:
                    self.drops["model busy"] += len(self._waiting.windows)
                self._waiting = _Batch(tuple(windows), self.want_attention, time.perf_counter())
                self._changed.notify_all()
            return self._take()

    def finish(self) -> list[Scores]:
        """Wait for everything handed over and return the scores not yet taken."""
        with self._changed:
            self._wait_until_idle()
            self._check()
            return self._take()

    def close(self) -> None:
        """End the stream, without waiting.

        A batch in the slot is dropped and counted in `drops["stopped"]`; the scores of a batch that
        runs are lost. Raises the network's error if no call of this client has raised it yet. May
        be called again; the other methods then raise RuntimeError.
        """
        with self._changed:
            self._stop()
            if self._worker._error is not None and not self._is_error_seen:
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
            with self._changed:
                self._stop()  # the error under way is the one to be seen

    def _stop(self) -> None:
        self._drop_waiting()
        self._is_closed = True

    def _drop_waiting(self) -> None:
        if self._waiting is not None:
            self.drops["stopped"] += len(self._waiting.windows)
            self._waiting = None
            self._worker._queue.remove(self)

    def _wait_until_idle(self) -> None:
        self._changed.wait_for(
            lambda: (
                self._is_closed
                or self._worker._is_closed
                or self._worker._error is not None
                or (self._waiting is None and not self._is_running)
            )
        )

    def _check(self) -> None:
        if self._worker._error is not None:
            self._is_error_seen = True
            self._worker._raise_error()
        if self._is_closed or self._worker._is_closed:
            raise RuntimeError(f"the {'client' if self._is_closed else 'worker'} is closed")

    def _take(self) -> list[Scores]:
        done, self._done = self._done, []
        return done
