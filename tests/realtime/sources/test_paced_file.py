"""Files that play as if they were live."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest

from realtime.errors import SourceError
from realtime.sources import playback_clock
from realtime.sources.live_source import STALENESS_S
from realtime.sources.paced_file import PacedFile
from support.sources import (
    HANG_S,
    steady,
    write_clip,
    write_lossy_clip,
)


class TestPacedFile:
    def test_it_plays_with_the_times_of_the_file(self, clip: Path) -> None:
        started_s = time.monotonic()
        with PacedFile(clip) as source:
            frames = list(source)
        assert time.monotonic() - started_s > 59 / 30
        assert source.live
        assert frames[0].id == 0
        assert frames[-1].id == 59
        assert len(frames) + source.drops["late"] == 60
        assert [frame.t_s for frame in frames] == pytest.approx([frame.id / 30 for frame in frames])

    def test_it_waits_for_its_first_reader(self, clip: Path) -> None:
        with PacedFile(clip) as source:
            time.sleep(2 * STALENESS_S)
            assert next(iter(source)).id == 0
        assert not source.drops

    def test_a_loop_goes_on_in_time(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.mp4", steady(50, 5))
        with PacedFile(path, loop=True) as source:
            frames = list(islice(source, 12))
        assert frames[-1].id >= 11
        assert [frame.t_s for frame in frames] == pytest.approx([frame.id / 50 for frame in frames])

    def test_a_long_hole_is_cut_short_and_keeps_its_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(playback_clock, "LONGEST_PAUSE_S", 0.2)
        seven_hours_s = 25_200.0
        times_s = [*steady(50, 5), *(seven_hours_s + t_s for t_s in steady(50, 5))]
        path = write_clip(
            tmp_path / "clip.mkv", times_s, codec="mjpeg", time_base=Fraction(1, 1000)
        )
        started_s = time.monotonic()
        with PacedFile(path) as source:
            for frame in source:
                age_s = source.age_s(frame)
        assert frame.t_s == pytest.approx(times_s[-1], abs=1e-3)
        assert 0.3 < time.monotonic() - started_s < HANG_S
        assert age_s is not None
        assert 0 <= age_s < 1

    def test_drops_of_the_file_are_its_drops(self, tmp_path: Path) -> None:
        path = write_lossy_clip(tmp_path / "clip.mkv")
        with PacedFile(path) as source:
            frames = list(source)
        assert source.drops["time not increasing"] == 2
        assert frames[-1].id == 4

    def test_a_damaged_file_says_so_at_its_end(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.mkv", steady(30, 60), noise=20)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(SourceError, match="is damaged"), PacedFile(path) as source:
            list(source)
