"""The hand-off to the network's thread: what is dropped, what is waited for, what is raised."""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import worker as worker_module
from realtime.spec import ModelSpec
from realtime.types import Scores, Window
from realtime.worker import Policy, Worker

BOUND_S = 20.0  # for what must happen; reached only by a test that fails

SPEC = ModelSpec(
    name="fake",
    version="0",
    architecture="none",
    labels=("none", "surprise"),
    rate_hz=10.0,
    frames=5,
    lookahead=1,
    region_layout="single",
    signal="motion",
    normalisation="none",
)


def window(face_id: int, value: float = 0.0, start_s: float = 0.0) -> Window:
    return Window(face_id, start_s, start_s + 0.4, np.full((1, 1, 1, 1, 1), value, np.float32))


class Fake:
    """A network whose second score is the value of the window."""

    spec = SPEC

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []

    def run(
        self, signal: npt.NDArray[np.generic], want_attention: bool = False
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        self.batch_sizes.append(len(signal))
        value = signal.reshape(len(signal)).astype(np.float32)
        attention = np.stack([np.full((1, 2, 2, 2), v, np.float32) for v in value])
        return np.stack([1 - value, value], axis=1), attention if want_attention else None


class Gated(Fake):
    """A network that begins when it is called and ends when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def run(
        self, signal: npt.NDArray[np.generic], want_attention: bool = False
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        self.started.release()
        assert self.gate.acquire(timeout=BOUND_S)
        return super().run(signal, want_attention)


class Broken(Fake):
    def run(
        self, signal: npt.NDArray[np.generic], want_attention: bool = False
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        try:
            raise KeyError("the cause")
        except KeyError as cause:
            raise ZeroDivisionError("the network broke") from cause


@pytest.fixture
def gated() -> Iterator[Gated]:
    network = Gated()
    yield network
    network.gate.release(100)  # so that no thread outlives its test


def faces(scores: Sequence[Scores]) -> list[int]:
    return [one.face_id for one in scores]


def test_scores_carry_face_time_and_probabilities() -> None:
    with Worker(Fake(), "wait") as worker:
        assert worker.exchange([window(7, 0.25, start_s=100.0), window(8, 0.75)]) == []
        first, second = worker.finish()
    assert (first.face_id, second.face_id) == (7, 8)
    assert first.probabilities == (0.75, 0.25)
    # Slot 3 of 0..4 at 10 Hz: one slot of the window lies after what the scores speak of.
    assert first.t_s == pytest.approx(100.3)
    assert first.latency_s >= 0
    assert first.attention is None


def test_faces_of_one_frame_are_one_batch() -> None:
    network = Fake()
    with Worker(network, "wait") as worker:
        worker.exchange([window(1), window(2), window(3)])
        worker.exchange([])
        worker.exchange([window(1)])
        worker.finish()
    assert network.batch_sizes == [3, 1]


def test_attention_comes_when_wanted() -> None:
    with Worker(Fake(), "wait") as worker:
        worker.want_attention = True
        worker.exchange([window(1, 0.25), window(2, 0.5)])
        first, second = worker.finish()
    assert first.attention is not None
    assert second.attention is not None
    assert first.attention.shape == (1, 2, 2, 2)
    assert np.all(first.attention == 0.25)
    assert np.all(second.attention == 0.5)


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=12))
def test_wait_returns_exactly_the_batch_before(frames: list[list[int]]) -> None:
    with Worker(Fake(), "wait") as worker:
        results = [faces(worker.exchange([window(face) for face in frame])) for frame in frames]
        results.append(faces(worker.finish()))
        assert worker.drops == Counter()
    assert results == [[], *frames]


def test_wait_lets_the_network_run_beside_the_caller(gated: Gated) -> None:
    with Worker(gated, "wait") as worker:
        assert worker.exchange([window(1)]) == []  # returns, though the network is not finished
        assert gated.started.acquire(timeout=BOUND_S)
        gated.gate.release(2)
        assert faces(worker.exchange([window(2)])) == [1]
        assert faces(worker.finish()) == [2]


def test_latest_replaces_what_waits_and_counts_it(gated: Gated) -> None:
    with Worker(gated, "latest") as worker:
        worker.exchange([window(1)])
        assert gated.started.acquire(timeout=BOUND_S)  # 1 runs, the slot is empty
        worker.exchange([window(2), window(3)])
        assert worker.drops == Counter()
        worker.exchange([window(4)])  # takes the place of 2 and 3
        worker.exchange([])  # takes nobody's
        assert worker.exchange([window(5), window(6)]) == []  # takes the place of 4
        assert worker.drops == Counter({"model busy": 3})
        gated.gate.release(2)
        assert faces(worker.finish()) == [1, 5, 6]
    assert worker.drops == Counter({"model busy": 3})


@given(st.lists(st.integers(0, 3), max_size=30))
def test_latest_loses_no_window_uncounted(sizes: list[int]) -> None:
    with Worker(Fake(), "latest") as worker:
        scored = sum(len(worker.exchange([window(0)] * size)) for size in sizes)
        scored += len(worker.finish())
        assert scored + worker.drops["model busy"] == sum(sizes)


@pytest.mark.parametrize("policy", ["latest", "wait"])
@pytest.mark.parametrize("verb", ["exchange", "finish", "close"])
def test_error_of_the_network_is_raised_in_the_caller(policy: Policy, verb: str) -> None:
    worker = Worker(Broken(), policy)
    worker.exchange([window(1)])
    worker._thread.join(BOUND_S)
    with pytest.raises(ZeroDivisionError, match="the network broke") as caught:
        worker.exchange([window(2)]) if verb == "exchange" else getattr(worker, verb)()
    assert isinstance(caught.value.__cause__, KeyError)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "run"  # where the network raised, not where the caller noticed
    if verb != "close":
        with pytest.raises(ZeroDivisionError):  # the worker does not recover by itself
            worker.finish()
    worker.close()  # has been seen, is not raised again


def test_wait_does_not_hang_on_a_broken_network() -> None:
    worker = Worker(Broken(), "wait")
    worker.exchange([window(1)])
    with pytest.raises(ZeroDivisionError):
        worker.exchange([window(2)])
    worker.close()


def use_broken(then: Exception | None) -> None:
    with Worker(Broken(), "latest") as worker:
        worker.exchange([window(1)])
        worker._thread.join(BOUND_S)
        if then is not None:
            raise then


def test_leaving_raises_the_error_nobody_has_seen() -> None:
    with pytest.raises(ZeroDivisionError):
        use_broken(then=None)


def test_leaving_keeps_the_error_under_way() -> None:
    with pytest.raises(LookupError, match="of the caller"):
        use_broken(then=LookupError("of the caller"))


def test_closing_with_a_full_slot_counts_what_is_thrown_away(gated: Gated) -> None:
    worker = Worker(gated, "latest")
    worker.exchange([window(1)])
    assert gated.started.acquire(timeout=BOUND_S)
    worker.exchange([window(2), window(3)])
    gated.gate.release(100)
    worker.close()
    assert not worker._thread.is_alive()
    assert worker.drops == Counter({"stopped": 2})
    assert gated.batch_sizes == [1]  # what waited was not run


def test_closing_does_not_wait_for_a_network_that_hangs(
    gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "STOP_TIMEOUT_S", 0.05)
    worker = Worker(gated, "latest")
    worker.exchange([window(1)])
    assert gated.started.acquire(timeout=BOUND_S)
    worker.close()
    assert worker._thread.is_alive()
    assert worker._thread.daemon  # so that the program can end
    gated.gate.release()
    worker._thread.join(BOUND_S)
    assert not worker._thread.is_alive()  # and it ends by itself once the network returns


def test_closed_worker_says_so() -> None:
    worker = Worker(Fake(), "wait")
    worker.close()
    worker.close()
    with pytest.raises(RuntimeError, match="closed"):
        worker.exchange([])
    with pytest.raises(RuntimeError, match="closed"):
        worker.finish()


def test_windows_of_different_shapes_are_an_error_of_the_caller() -> None:
    odd = Window(2, 0.0, 0.4, np.zeros((2, 1, 1, 1, 1), np.float32))
    with Worker(Fake(), "wait") as worker:
        worker.exchange([window(1), odd])
        with pytest.raises(ValueError, match="same shape"):
            worker.finish()
