"""Sources that go on while nobody reads."""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.sources.live_source import STALENESS_S, LiveSource, Picture
from realtime.types import Frame
from support.sources import (
    HANG_S,
    capture_threads,
    steady,
)


class Scripted(LiveSource):
    """Captures all of `pictures` at once and then waits to be stopped, or raises `error`."""

    def __init__(
        self,
        pictures: Iterable[Picture],
        *,
        error: Exception | None = None,
        **bounds: Any,
    ) -> None:
        super().__init__("script", **bounds)
        self.script = pictures
        self.error = error
        self.captured = threading.Event()
        self.left = threading.Event()

    def _pictures(self) -> Generator[Picture, None, None]:
        yield from self.script
        self.captured.set()
        if self.error is not None:
            raise self.error
        self.left.wait(HANG_S)

    def stop(self) -> None:
        super().stop()
        self.left.set()


def pictures_at(times_s: Iterable[float]) -> Iterator[Picture]:
    return (Picture(t_s, np.zeros((10, 10, 3), np.uint8)) for t_s in times_s)


class FakeSilence(LiveSource):
    """One frame, and then nothing."""

    def _pictures(self) -> Iterator[Picture]:
        yield Picture(0.0, np.zeros((10, 10, 3), np.uint8))
        self._stopping.wait(HANG_S)


class TestLiveSource:
    def test_a_reader_that_keeps_up_gets_every_frame(self) -> None:
        times_s = [0.0, 0.4 * STALENESS_S, 0.9 * STALENESS_S]
        with Scripted(pictures_at(times_s)) as source:
            assert source.captured.wait(HANG_S)
            frames = list(islice(source, 3))
        assert [frame.t_s for frame in frames] == times_s
        assert not source.drops

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.floats(0.001, 0.3), min_size=1, max_size=30))
    def test_a_reader_that_is_late_jumps_to_the_newest(self, gaps_s: list[float]) -> None:
        times_s = [float(t_s) for t_s in np.cumsum(gaps_s)]
        newest_s = times_s[-1]
        with Scripted(pictures_at(times_s)) as source:
            assert source.captured.wait(HANG_S)
            first = next(iter(source))
            late = source.drops["late"]
            rest = list(islice(source, len(times_s) - first.id - 1))
        if newest_s - times_s[0] > STALENESS_S:
            assert first.id == len(times_s) - 1
            assert late == first.id
        else:
            assert [first.id, *(frame.id for frame in rest)] == list(range(len(times_s)))
            assert late == 0

    def test_late_frames_that_have_left_the_buffer_are_counted_too(self) -> None:
        with Scripted(pictures_at(steady(100, 500)), buffer_s=0.05) as source:
            assert source.captured.wait(HANG_S)
            frame = next(iter(source))
        assert frame.id == 499
        assert source.drops == Counter({"late": 499})

    def test_a_reader_that_never_reads_does_not_fill_the_memory(self) -> None:
        bound = 50 * 300
        with Scripted(pictures_at(steady(1000, 2000)), buffer_bytes=bound) as source:
            assert source.captured.wait(HANG_S)
            held = list(source._buffer)
            assert sum(frame.image_bgr.nbytes for frame in held) == bound
            assert [frame.id for frame in held] == list(range(1950, 2000))

    def test_a_picture_larger_than_the_buffer_is_still_delivered(self) -> None:
        with Scripted(pictures_at([0.0, 1.0]), buffer_bytes=1) as source:
            assert source.captured.wait(HANG_S)
            assert next(iter(source)).t_s == 1.0

    def test_times_that_do_not_fit_are_counted(self) -> None:
        image = np.zeros((10, 10, 3), np.uint8)
        script = [Picture(t_s, image) for t_s in (0.0, 0.0, math.nan, 0.02)]
        with Scripted(script) as source:
            assert source.captured.wait(HANG_S)
            frames = list(islice(source, 2))
        assert [frame.id for frame in frames] == [0, 3]
        assert source.drops == Counter({"time not increasing": 2})

    def test_frames_may_change_their_size(self) -> None:
        sizes = [(10, 10, 3), (20, 24, 3), (10, 10, 3)]
        script = [
            Picture(number / 50, np.zeros(size, np.uint8)) for number, size in enumerate(sizes)
        ]
        with Scripted(script) as source:
            assert source.captured.wait(HANG_S)
            assert [frame.image_bgr.shape for frame in islice(source, 3)] == sizes
        assert not source.drops

    def test_a_reader_that_waits_is_told_and_may_stop(self) -> None:
        calls = []

        def on_idle() -> None:
            calls.append(time.monotonic())
            if len(calls) == 3:
                source.stop()

        with FakeSilence("silent") as source:
            source.on_idle = on_idle
            assert len(list(source)) == 1
        assert len(calls) == 3

    def test_an_error_is_raised_again_where_it_is_read(self) -> None:
        with Scripted(pictures_at([0.0]), error=ZeroDivisionError("in the driver")) as source:
            assert len(list(islice(source, 1))) == 1  # what came before it is delivered
            with pytest.raises(ZeroDivisionError, match="in the driver") as caught:
                next(iter(source))
        names = [step.name for step in traceback.extract_tb(caught.value.__traceback__)]
        assert "_pictures" in names
        assert not capture_threads()

    def test_stop_wakes_a_reader_that_waits(self) -> None:
        with Scripted(pictures_at([0.0])) as source:
            frames = iter(source)
            next(frames)
            rest: list[Frame] = []
            reader = threading.Thread(target=lambda: rest.extend(frames))
            reader.start()
            source.stop()
            reader.join(HANG_S)
            assert not reader.is_alive()
        assert rest == []
