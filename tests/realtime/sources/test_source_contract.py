"""Sources: the contract that all of them keep."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from realtime.errors import SourceError
from realtime.sources.network_stream import NetworkStream
from realtime.sources.paced_file import PacedFile
from realtime.sources.video_file import VideoFile
from realtime.sources.webcam import Webcam
from realtime.types import Source
from support.sources import (
    HANG_S,
    FakeCamera,
    FakeCameras,
    StreamServer,
    capture_threads,
    open_clips,
)


class TestContract:
    def test_frames_come_in_order_and_whole(self, source: Source) -> None:
        with source:
            frames = list(islice(source, 20))
            width, height = source.info.size_wh
        assert len(frames) == 20
        ids = [frame.id for frame in frames]
        times_s = [frame.t_s for frame in frames]
        assert ids[0] >= 0
        assert all(before < after for before, after in pairwise(ids))
        assert all(map(math.isfinite, times_s))
        assert all(before < after for before, after in pairwise(times_s))
        for frame in frames:
            assert frame.image_bgr.shape == (height, width, 3)
            assert frame.image_bgr.dtype == np.uint8
            assert frame.image_bgr.flags.c_contiguous

    def test_holes_in_the_ids_are_counted_as_drops(self, source: Source) -> None:
        with source:
            frames = list(islice(source, 20))
            late = source.drops["late"]
        assert frames[-1].id + 1 == len(frames) + late

    def test_info_is_known_before_reading(self, source: Source) -> None:
        with source:
            info = source.info
            first = next(iter(source))
        assert info.name
        assert info.size_wh == first.image_bgr.shape[1::-1]
        assert info.rate_hz is None or info.rate_hz > 0

    def test_neither_info_nor_frames_before_entering(self, source: Source) -> None:
        with pytest.raises(RuntimeError, match="enter the source"):
            _ = source.info
        with pytest.raises(RuntimeError, match="enter the source"):
            next(iter(source))

    def test_stop_from_another_thread_ends_the_iteration(self, source: Source) -> None:
        with source:
            frames = iter(source)
            next(frames)
            stopper = threading.Thread(target=source.stop)
            stopper.start()
            stopper.join(HANG_S)
            assert list(frames) == []
        assert not capture_threads()

    def test_leaving_early_leaves_nothing_open(self, source: Source) -> None:
        with source:
            for _ in source:
                break
        assert not capture_threads()
        assert not open_clips()

    def test_leaving_without_reading(self, source: Source) -> None:
        with source:
            pass
        assert not capture_threads()
        assert not open_clips()

    def test_an_error_of_the_reader_passes_through(self, source: Source) -> None:
        def read() -> None:
            with source:
                for _ in source:
                    raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            read()
        assert not capture_threads()
        assert not open_clips()

    def test_reading_goes_on_after_a_break(self, source: Source) -> None:
        with source:
            first = next(iter(source))
            second = next(iter(source))
        assert second.id > first.id
        assert second.t_s > first.t_s

    def test_stop_may_come_before_reading_and_twice(self, source: Source) -> None:
        with source:
            source.stop()
            source.stop()
            assert list(source) == []


@pytest.mark.parametrize("kind", ["file", "webcam", "network", "paced"])
def test_what_cannot_be_opened_is_one_sentence_with_a_remedy(
    kind: str, tmp_path: Path, server: StreamServer
) -> None:
    absent = tmp_path / "absent.mp4"
    makers: dict[str, Callable[[], Source]] = {
        "file": lambda: VideoFile(absent),
        "webcam": lambda: Webcam(7, open_capture=FakeCameras(FakeCamera(is_there=False))),
        "network": lambda: NetworkStream(server.url("absent.mp4")),
        "paced": lambda: PacedFile(absent),
    }
    source = makers[kind]()
    with pytest.raises(SourceError) as caught, source:
        pass
    assert str(caught.value).endswith(".")
    assert ";" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "did not come back" not in str(caught.value)  # it was never there
    assert not capture_threads()
