"""Times of frames in containers that state them well, badly or not at all."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path

import pytest

from realtime.sources.network_stream import NetworkStream
from realtime.sources.video_file import VideoFile
from support.sources import StreamServer, shows, steady, write_clip, write_lossy_clip


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        *product(["avi", "asf", "ts", "mkv", "mov"], ["libx264", "mpeg4"]),
        *[("avi", "mpeg2video"), ("avi", "mjpeg"), ("vob", "mpeg2video")],
    ],
)
def test_every_frame_of_every_container_comes_at_its_time(
    suffix: str, codec: str, tmp_path: Path
) -> None:
    path = write_clip(
        tmp_path / f"clip.{suffix}",
        steady(30, 40),
        codec=codec,
        time_base=Fraction(1, 30),
        reordered=codec != "mjpeg",
    )
    with VideoFile(path) as source:
        frames = list(source)
    assert all(shows(frame, number) for number, frame in enumerate(frames))
    assert len(frames) == 40
    assert not source.drops
    times_s = [frame.t_s - frames[0].t_s for frame in frames]
    assert times_s == pytest.approx(steady(30, 40), abs=1.1e-3)
    if suffix in ("avi", "asf", "wmv"):
        assert frames[0].t_s == 0


def test_a_clock_that_is_set_back_goes_on_after_the_cut(tmp_path: Path) -> None:
    first = write_clip(tmp_path / "a.ts", steady(30, 60), size_wh=(98, 64))
    second = write_clip(tmp_path / "b.ts", steady(30, 45), size_wh=(128, 96))
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    with VideoFile(both) as source:
        frames = list(source)
    assert len(frames) == 105
    assert [number for number, frame in enumerate(frames) if frame.after_cut] == [60]
    assert all(shows(frame, number % 60) for number, frame in enumerate(frames))
    gaps_s = [after.t_s - before.t_s for before, after in pairwise(frames)]
    assert gaps_s == pytest.approx([1 / 30] * 104, abs=1e-3)
    assert source.drops == {"clock changed": 1}
    assert frames[60].id == 61  # the hole that nobody can measure


def test_a_recording_on_the_network_comes_in_its_order_too(server: StreamServer) -> None:
    write_clip(
        server.folder / "clip.avi", steady(30, 20), time_base=Fraction(1, 30), reordered=True
    )
    with NetworkStream(server.url("clip.avi")) as source:
        frames = list(source)
    assert len(frames) + source.drops["late"] == 20
    assert all(shows(frame, frame.id) for frame in frames)
    spacing_s = (frames[-1].t_s - frames[0].t_s) / (frames[-1].id - frames[0].id)
    assert spacing_s == pytest.approx(1 / 30, abs=1e-3)


@pytest.mark.parametrize(("hole_s", "is_cut"), [(25_200, False), (80_000, False), (9e6, True)])
def test_a_night_is_a_hole_and_a_year_another_clock(
    hole_s: float, is_cut: bool, tmp_path: Path
) -> None:
    path = write_clip(
        tmp_path / "clip.mkv",
        [*steady(50, 5), *(hole_s + t_s for t_s in steady(50, 5))],
        codec="mjpeg",
        time_base=Fraction(1, 1000),
    )
    with VideoFile(path) as source:
        frames = list(source)
    assert len(frames) == 10
    assert frames[5].after_cut == is_cut
    assert source.drops == ({"clock changed": 1} if is_cut else {})
    assert frames[5].t_s == pytest.approx(0.1 if is_cut else hole_s, abs=1e-3)


def test_a_clock_that_is_a_little_wrong_is_no_cut(tmp_path: Path) -> None:
    path = write_lossy_clip(tmp_path / "clip.mkv")
    with VideoFile(path) as source:
        frames = list(source)
    assert [frame.t_s for frame in frames] == [0.0, 0.02, 0.04, 0.06]
    assert not any(frame.after_cut for frame in frames)
    assert source.drops == {"time not increasing": 2}


@pytest.mark.parametrize("codec", ["mjpeg", "libx264"])
def test_frames_before_time_0_are_counted_once_the_first_is_read(
    codec: str, tmp_path: Path
) -> None:
    path = write_clip(
        tmp_path / "clip.mkv",
        [t_s - 0.08 for t_s in steady(50, 10)],
        codec=codec,
        time_base=Fraction(1, 1000),
        options={"avoid_negative_ts": "disabled"},
    )
    with VideoFile(path) as source:
        assert not source.drops  # a reader counts what is lost from now on
        frames = list(source)
    assert source.drops.total() == 4
    assert set(source.drops) <= {"before time 0", "no time"}
    assert [frame.id for frame in frames] == list(range(4, 10))
    assert all(shows(frame, frame.id) for frame in frames)
    assert [frame.t_s for frame in frames] == pytest.approx(steady(50, 6))
