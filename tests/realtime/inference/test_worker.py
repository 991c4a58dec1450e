"""The hand-off to the network's thread: what is dropped, waited for, raised and shared."""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.inference import worker as worker_module
from realtime.inference.worker import LARGEST_RUN, InferenceClient, InferenceWorker, Policy
from realtime.spec import ModelSpec
from realtime.types import Scores, Window

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


@contextmanager
def only_lane(network: Fake, policy: Policy) -> Iterator[InferenceClient]:
    with InferenceWorker(network) as worker, worker.client(policy) as client:
        yield client


def faces(scores: Sequence[Scores]) -> list[int]:
    return [one.face_id for one in scores]


def test_scores_carry_face_time_and_probabilities() -> None:
    with only_lane(Fake(), "wait") as client:
        assert client.exchange([window(7, 0.25, start_s=100.0), window(8, 0.75)]) == []
        first, second = client.finish()
    assert (first.face_id, second.face_id) == (7, 8)
    assert first.probabilities == (0.75, 0.25)
    # Slot 3 of 0..4 at 10 Hz: one slot of the window lies after what the scores speak of.
    assert first.t_s == pytest.approx(100.3)
    assert first.latency_s >= 0
    assert first.attention is None


def test_faces_of_one_frame_are_one_batch() -> None:
    network = Fake()
    with only_lane(network, "wait") as client:
        client.exchange([window(1), window(2), window(3)])
        client.exchange([])
        client.exchange([window(1)])
        client.finish()
    assert network.batch_sizes == [3, 1]


def test_attention_comes_when_wanted() -> None:
    with only_lane(Fake(), "wait") as client:
        client.want_attention = True
        client.exchange([window(1, 0.25), window(2, 0.5)])
        first, second = client.finish()
    assert first.attention is not None
    assert second.attention is not None
    assert first.attention.shape == (1, 2, 2, 2)
    assert np.all(first.attention == 0.25)
    assert np.all(second.attention == 0.5)


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=12))
def test_wait_returns_exactly_the_batch_before(frames: list[list[int]]) -> None:
    with only_lane(Fake(), "wait") as client:
        results = [faces(client.exchange([window(face) for face in frame])) for frame in frames]
        results.append(faces(client.finish()))
        assert client.drops == Counter()
    assert results == [[], *frames]


def test_wait_lets_the_network_run_beside_the_caller(gated: Gated) -> None:
    with only_lane(gated, "wait") as client:
        assert client.exchange([window(1)]) == []  # returns, though the network is not finished
        assert gated.started.acquire(timeout=BOUND_S)
        gated.gate.release(2)
        assert faces(client.exchange([window(2)])) == [1]
        assert faces(client.finish()) == [2]


def test_latest_replaces_what_waits_and_counts_it(gated: Gated) -> None:
    with only_lane(gated, "latest") as client:
        client.exchange([window(1)])
        assert gated.started.acquire(timeout=BOUND_S)  # 1 runs, the slot is empty
        client.exchange([window(2), window(3)])
        assert client.drops == Counter()
        client.exchange([window(4)])  # takes the place of 2 and 3
        client.exchange([])  # takes nobody's
        assert client.exchange([window(5), window(6)]) == []  # takes the place of 4
        assert client.drops == Counter({"model busy": 3})
        gated.gate.release(2)
        assert faces(client.finish()) == [1, 5, 6]
    assert client.drops == Counter({"model busy": 3})


@given(st.lists(st.integers(0, 3), max_size=30))
def test_latest_loses_no_window_uncounted(sizes: list[int]) -> None:
    with only_lane(Fake(), "latest") as client:
        scored = sum(len(client.exchange([window(0)] * size)) for size in sizes)
        scored += len(client.finish())
        assert scored + client.drops["model busy"] == sum(sizes)


def broken_worker() -> tuple[InferenceWorker[Broken], InferenceClient]:
    """A worker whose network has raised, and the client whose windows it had."""
    worker = InferenceWorker(Broken())
    client = worker.client("latest")
    client.exchange([window(1)])
    worker._thread.join(BOUND_S)
    return worker, client


@pytest.mark.parametrize("verb", ["exchange", "finish", "close"])
@pytest.mark.parametrize("policy", ["latest", "wait"])
def test_error_of_the_network_is_raised_in_the_caller(policy: Policy, verb: str) -> None:
    worker = InferenceWorker(Broken())
    client = worker.client(policy)
    client.exchange([window(1)])
    worker._thread.join(BOUND_S)
    with pytest.raises(ZeroDivisionError, match="the network broke") as caught:
        client.exchange([window(2)]) if verb == "exchange" else getattr(client, verb)()
    assert isinstance(caught.value.__cause__, KeyError)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "run"  # where the network raised, not where the caller noticed
    with pytest.raises(ZeroDivisionError):  # the worker does not recover by itself
        client.finish()
    client.close()  # has been seen, is not raised again
    worker.close()


def test_error_of_the_network_reaches_every_lane_with_the_traceback_of_the_network_alone() -> None:
    worker, client = broken_worker()
    idle, late = worker.client("wait"), worker.client("latest")
    for one, verb in ((client, client.finish), (idle, idle.finish), (late, late.close)):
        with pytest.raises(ZeroDivisionError) as caught:
            verb()
        frames = traceback.extract_tb(caught.value.__traceback__)
        assert [frame.name for frame in frames].count("_raise_error") == 1
        assert frames[-1].name == "run"
        one.close()
    worker.close()  # somebody has seen it


def test_closing_raises_the_error_nobody_has_seen() -> None:
    worker, _ = broken_worker()
    with pytest.raises(ZeroDivisionError):
        worker.close()
    worker.close()


def test_wait_does_not_hang_on_a_broken_network() -> None:
    worker = InferenceWorker(Broken())
    client = worker.client("wait")
    client.exchange([window(1)])
    with pytest.raises(ZeroDivisionError):
        client.exchange([window(2)])
    client.close()
    worker.close()


def use_broken(then: Exception | None) -> None:
    with InferenceWorker(Broken()) as worker, worker.client("latest") as client:
        client.exchange([window(1)])
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
    worker = InferenceWorker(gated)
    client = worker.client("latest")
    client.exchange([window(1)])
    assert gated.started.acquire(timeout=BOUND_S)
    client.exchange([window(2), window(3)])

    def open_gate_once_closed() -> None:
        while not worker._is_closed:
            time.sleep(0.001)
        gated.gate.release(100)

    opener = threading.Thread(target=open_gate_once_closed)
    opener.start()
    worker.close()
    opener.join(BOUND_S)
    assert not worker._thread.is_alive()
    assert client.drops == Counter({"stopped": 2})
    assert gated.batch_sizes == [1]  # what waited was not run


def test_closing_does_not_wait_for_a_network_that_hangs(
    gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "STOP_TIMEOUT_S", 0.05)
    worker = InferenceWorker(gated)
    client = worker.client("latest")
    client.exchange([window(1)])
    assert gated.started.acquire(timeout=BOUND_S)
    client.close()
    worker.close()
    assert worker._thread.is_alive()
    assert worker._thread.daemon  # so that the program can end
    gated.gate.release()
    worker._thread.join(BOUND_S)
    assert not worker._thread.is_alive()  # and it ends by itself once the network returns


def test_what_is_closed_says_so() -> None:
    worker = InferenceWorker(Fake())
    client, other = worker.client("wait"), worker.client("latest")
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="client is closed"):
        client.exchange([])
    assert other.exchange([]) == []
    worker.close()
    worker.close()
    with pytest.raises(RuntimeError, match="worker is closed"):
        other.exchange([])
    with pytest.raises(RuntimeError, match="worker is closed"):
        other.finish()
    with pytest.raises(RuntimeError, match="worker is closed"):
        worker.client("wait")
    other.close()


# Several streams


@contextmanager
def busy_worker(gated: Gated, clients: int) -> Iterator[tuple[InferenceClient, ...]]:
    """Live clients of a worker whose network holds a window of the first of them."""
    with ExitStack() as opened:
        worker = opened.enter_context(InferenceWorker(gated))
        made = tuple(opened.enter_context(worker.client("latest")) for _ in range(clients))
        opened.callback(gated.gate.release, 100)
        made[0].exchange([window(0)])
        assert gated.started.acquire(timeout=BOUND_S)
        yield made


def test_what_waits_in_all_lanes_is_one_run(gated: Gated) -> None:
    with busy_worker(gated, 3) as (first, second, third):
        second.exchange([window(0, 0.25), window(1, 0.5)])
        third.exchange([window(0, 0.75)])
        gated.gate.release(2)
        assert [one.probabilities[1] for one in second.finish()] == [0.25, 0.5]
        assert [one.probabilities[1] for one in third.finish()] == [0.75]
        assert faces(first.finish()) == [0]
        assert gated.batch_sizes == [1, 3]


def test_a_run_is_bounded_and_the_longest_wait_comes_first(gated: Gated) -> None:
    half = LARGEST_RUN // 2 + 1
    with busy_worker(gated, 4) as (first, second, third, fourth):
        for number, client in enumerate((second, third, fourth)):
            client.exchange([window(number)] * half)
        second.exchange([window(9)] * 2)  # newer, in the old place
        first.exchange([window(8)])
        gated.gate.release(100)
        assert faces(second.finish()) == [9, 9]
        for client in (third, fourth, first):
            client.finish()
        assert gated.batch_sizes == [1, 2 + half, half + 1]


def test_more_faces_than_a_run_holds_are_still_one_batch(gated: Gated) -> None:
    with busy_worker(gated, 2) as (first, second):
        second.exchange([window(number) for number in range(LARGEST_RUN + 3)])
        first.exchange([window(0)])
        gated.gate.release(100)
        assert faces(second.finish()) == list(range(LARGEST_RUN + 3))
        first.finish()
        assert gated.batch_sizes == [1, LARGEST_RUN + 3, 1]


def test_attention_goes_to_who_wants_it(gated: Gated) -> None:
    with busy_worker(gated, 3) as (_, second, third):
        second.want_attention = True
        second.exchange([window(0, 0.25)])
        third.exchange([window(0, 0.5)])
        gated.gate.release(2)
        (looked,), (blind,) = second.finish(), third.finish()
        assert gated.batch_sizes == [1, 2]
    assert looked.attention is not None
    assert np.all(looked.attention == 0.25)
    assert blind.attention is None


def test_a_lane_closes_while_the_network_runs_and_the_others_go_on(gated: Gated) -> None:
    with busy_worker(gated, 3) as (first, second, third):
        second.exchange([window(0), window(1)])
        third.exchange([window(2)])
        first.close()  # its window is under way
        second.close()  # its windows wait
        assert first.drops == Counter()
        assert second.drops == Counter({"stopped": 2})
        gated.gate.release(2)
        assert faces(third.finish()) == [2]
        assert gated.batch_sizes == [1, 1]


@given(
    st.lists(
        st.tuples(st.sampled_from(["latest", "wait"]), st.lists(st.integers(0, 5), max_size=8)),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=30, deadline=None)
def test_no_lane_gets_what_another_handed_over(streams: list[tuple[Policy, list[int]]]) -> None:
    """Each client in a thread of its own; the face says which client and window it was."""
    results: dict[int, list[Scores]] = {}
    drops: dict[int, Counter[str]] = {}

    def use(worker: InferenceWorker[Fake], number: int, policy: Policy, sizes: list[int]) -> None:
        with worker.client(policy) as client:
            client.want_attention = number % 2 == 1
            scores = []
            for frame, size in enumerate(sizes):
                windows = [window(100 * number + frame, number / 8) for _ in range(size)]
                scores += client.exchange(windows)
            results[number] = scores + client.finish()
            drops[number] = client.drops

    with InferenceWorker(Fake()) as worker:
        threads = [
            threading.Thread(target=use, args=(worker, number, *stream))
            for number, stream in enumerate(streams)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(BOUND_S)
    for number, (policy, sizes) in enumerate(streams):
        scores = results[number]
        assert all(one.probabilities[1] == number / 8 for one in scores)
        assert all((one.attention is not None) == (number % 2 == 1) for one in scores)
        handed_over = [
            100 * number + frame for frame, size in enumerate(sizes) for _ in range(size)
        ]
        assert len(scores) + drops[number]["model busy"] == len(handed_over)
        assert faces(scores) == sorted(faces(scores))
        assert set(faces(scores)) <= set(handed_over)
        if policy == "wait":
            assert faces(scores) == handed_over


def test_windows_of_different_shapes_are_an_error_of_the_caller() -> None:
    odd = Window(2, 0.0, 0.4, np.zeros((2, 1, 1, 1, 1), np.float32))
    with only_lane(Fake(), "wait") as client:
        client.exchange([window(1), odd])
        with pytest.raises(ValueError, match="same shape"):
            client.finish()
