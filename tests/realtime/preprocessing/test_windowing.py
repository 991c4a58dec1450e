"""The uniform clock and the sliding windows, at any frame rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.preprocessing.windowing import GraySignal, Slot, UniformClock, WindowBuilder
from realtime.spec import ModelSpec
from realtime.types import RegionSample, UInt8Array, Window

RATE_HZ = 30.0
MAX_GAP_S = 0.2


def picture(value: float) -> UInt8Array:
    return np.full((1, 2, 2), round(value), np.uint8)


def slots_of(times_s: list[float], values: list[float]) -> list[Slot]:
    clock = UniformClock(RATE_HZ, MAX_GAP_S)
    return [
        slot
        for t_s, value in zip(times_s, values, strict=True)
        for slot in clock.push(t_s, picture(value))
    ]


def spec(frames: int = 4, hop: int = 1) -> ModelSpec:
    return ModelSpec(
        name="test",
        version="1",
        architecture="test",
        labels=("none", "some"),
        rate_hz=RATE_HZ,
        frames=frames,
        region_layout="single",
        signal="gray",
        normalisation="",
        hop=hop,
        max_gap_s=MAX_GAP_S,
    )


def windows_of(times_s: list[float], frames: int = 4, hop: int = 1) -> list[Window]:
    timeline = WindowBuilder(spec(frames, hop), GraySignal())
    return [
        window
        for number, t_s in enumerate(times_s)
        for window in timeline.push(RegionSample(number, t_s, 7, picture(number % 256)))
    ]


@given(
    rate_hz=st.floats(12, 250),
    start_s=st.floats(0, 1e5),
    jitter=st.floats(0, 0.4),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_a_linear_ramp_comes_out_as_the_same_ramp_at_any_camera_rate(
    rate_hz: float, start_s: float, jitter: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    count = int(rate_hz * 1.5)
    times_s = start_s + (np.arange(count) + random.uniform(-jitter, jitter, count) / 2) / rate_hz
    values = (times_s - times_s[0]) * 150
    slots = slots_of(list(times_s), list(values))
    assert len(slots) >= 1.5 * RATE_HZ - 1 - RATE_HZ / rate_hz * 2
    for number, slot in enumerate(slots):
        assert slot.t_s == pytest.approx(times_s[0] + number / RATE_HZ, abs=1e-6)
        # A slot holds samples up to half a slot from its centre; two roundings add one level.
        assert abs(int(slot.regions[0, 0, 0]) - number / RATE_HZ * 150) <= 150 / RATE_HZ / 2 + 1.5
    assert [slot.is_first for slot in slots] == [True] + [False] * (len(slots) - 1)


def test_a_fast_camera_is_averaged() -> None:
    times_s = [number / 120 for number in range(13)]
    values = [0, 4, 8, 12] * 3 + [0]
    slots = slots_of(times_s, [float(value) for value in values])
    # Samples 3 to 5 lie nearest to slot 1, 2 falls half way and goes to the even slot.
    assert slots[1].regions[0, 0, 0] == round(np.mean([12, 0, 4]))


def test_a_slow_camera_is_interpolated() -> None:
    slots = slots_of([0.0, 1 / 15, 2 / 15], [0, 100, 50])
    assert [int(slot.regions[0, 0, 0]) for slot in slots] == [0, 50, 100, 75]


def test_a_hole_restarts_the_clock_and_nothing_is_made_up_in_it() -> None:
    times_s = [0.0, 0.033, 0.066, 0.5, 0.533, 0.566]
    slots = slots_of(times_s, [10, 10, 10, 200, 200, 200])
    assert [slot.is_first for slot in slots] == [True, False, True, False]
    assert not any(0.067 < slot.t_s < 0.5 for slot in slots)
    assert {int(slot.regions[0, 0, 0]) for slot in slots} == {10, 200}


def test_time_must_advance() -> None:
    clock = UniformClock(RATE_HZ, MAX_GAP_S)
    list(clock.push(1.0, picture(0)))
    with pytest.raises(ValueError, match="time must advance"):
        list(clock.push(1.0, picture(0)))


@pytest.mark.parametrize("hop", [1, 2, 3])
def test_windows_slide_by_the_hop_and_hold_consecutive_slots(hop: int) -> None:
    windows = windows_of([number / RATE_HZ for number in range(20)], frames=4, hop=hop)
    assert [round(window.start_s * RATE_HZ) for window in windows] == list(range(0, 16, hop))
    for window in windows:
        first = round(window.start_s * RATE_HZ)
        assert window.signal.shape == (4, 1, 2, 2, 1)
        assert window.signal[:, 0, 0, 0, 0].tolist() == list(range(first, first + 4))
        assert window.end_s == pytest.approx(window.start_s + 3 / RATE_HZ)
        assert window.face_id == 7


def test_no_window_reaches_over_a_hole() -> None:
    times_s = [number / RATE_HZ for number in range(10)]
    times_s += [t_s + 1.0 for t_s in times_s]
    for window in windows_of(times_s):
        assert window.end_s < 0.5 or window.start_s > 0.9


def test_a_camera_with_longer_gaps_than_the_model_allows_gives_no_window() -> None:
    assert windows_of([number / 3 for number in range(30)]) == []


def test_the_window_starts_over_when_the_signal_gives_up() -> None:
    class GivesUpOnce(GraySignal):
        restarts = 0

        def restart(self) -> None:
            self.restarts += 1

        def __call__(self, regions: UInt8Array) -> UInt8Array | None:
            return None if regions[0, 0, 0] == 6 else super().__call__(regions)

    signal = GivesUpOnce()
    timeline = WindowBuilder(spec(), signal)
    windows = []
    for number in range(16):
        windows += timeline.push(RegionSample(number, number / RATE_HZ, 0, picture(number)))
        assert timeline.is_warm == (4 <= number <= 6 or number >= 11)
    assert [round(window.start_s * RATE_HZ) for window in windows] == [0, 1, 2, 7, 8, 9, 10, 11]
    assert signal.restarts == 2  # at the first slot, and when it gave up


def test_a_recording_that_ends_gives_out_the_slot_that_is_being_filled() -> None:
    clock = UniformClock(RATE_HZ, MAX_GAP_S)
    assert list(clock.flush()) == []
    assert list(clock.push(1.0, picture(8))) == []
    (only,) = clock.flush()  # a still
    assert (only.t_s, only.is_first, int(only.regions[0, 0, 0])) == (1.0, True, 8)
    given = [*clock.push(2.0, picture(1)), *clock.push(2.0 + 1 / 30, picture(3)), *clock.flush()]
    assert [int(slot.regions[0, 0, 0]) for slot in given] == [1, 3]
    assert [slot.is_first for slot in given] == [True, False]  # it started anew
