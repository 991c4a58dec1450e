"""Video files as sources."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime.errors import SourceError
from realtime.sources.video_file import VideoFile
from realtime.types import Frame
from support.sources import (
    shows,
    steady,
    write_clip,
)


class TestVideoFile:
    @pytest.mark.parametrize("rate_hz", [12, 30, 60, 240])
    def test_every_frame_at_its_time(self, rate_hz: int, tmp_path: Path) -> None:
        times_s = steady(rate_hz, 40)
        with VideoFile(write_clip(tmp_path / "clip.mp4", times_s, rate_hz=rate_hz)) as source:
            frames = list(source)
        assert source.info.rate_hz == pytest.approx(rate_hz)
        assert source.info.frame_count == 40
        assert [frame.id for frame in frames] == list(range(40))
        assert [frame.t_s for frame in frames] == pytest.approx(times_s, abs=1e-3)
        assert all(shows(frame, number) for number, frame in enumerate(frames))
        assert not source.drops

    @settings(
        max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        gaps_s=st.lists(st.floats(0.002, 0.7), min_size=1, max_size=15),
        start_s=st.floats(0, 3),
        suffix=st.sampled_from(["mp4", "mkv", "mov"]),
    )
    def test_variable_frame_rate(
        self, gaps_s: list[float], start_s: float, suffix: str, tmp_path: Path
    ) -> None:
        times_s = list(start_s + np.cumsum([0.0, *gaps_s]))
        path = write_clip(tmp_path / f"clip.{suffix}", times_s)
        with VideoFile(path) as source:
            frames = list(source)
        with av.open(str(path)) as container:
            stated_s = [frame.time for frame in container.decode(video=0)]
        read_s = np.array([frame.t_s for frame in frames])
        assert read_s == pytest.approx(stated_s, abs=1e-9)
        # The writer may have left out the last frame; Matroska counts in ms.
        assert len(read_s) >= len(gaps_s)
        assert np.diff(read_s) == pytest.approx(gaps_s[: len(read_s) - 1], abs=1.1e-3)
        assert all(shows(frame, number) for number, frame in enumerate(frames))

    @pytest.mark.parametrize("name", ["face_noface.mov", "noface_face.mov", "asl_again.mkv"])
    def test_real_recordings_keep_their_times(self, name: str, shared_data: Path) -> None:
        path = shared_data / "clips" / name
        with av.open(str(path)) as container:
            stated_s = [frame.time for frame in container.decode(video=0)]
        with VideoFile(path) as source:
            read_s = [frame.t_s for frame in source]
        assert read_s == stated_s
        assert not source.drops

    def test_a_codec_that_nothing_decodes_is_named(self, tmp_path: Path) -> None:
        path = write_clip(
            tmp_path / "clip.avi", steady(30, 5), codec="mjpeg", time_base=Fraction(1, 30)
        )
        path.write_bytes(path.read_bytes().replace(b"MJPG", b"XQXQ"))
        with pytest.raises(SourceError, match="their codec is not known"), VideoFile(path):
            pass

    @pytest.mark.parametrize(
        ("suffix", "options", "start_s"),
        [
            ("mp4", {"movflags": "faststart"}, 0.0),
            ("mp4", {"movflags": "faststart"}, 5.0),
            ("mkv", {}, 0.0),
            ("mkv", {}, 5.0),
            ("avi", {}, 0.0),
        ],
    )
    def test_a_file_cut_in_half_gives_its_half_and_then_says_so(
        self, suffix: str, options: dict[str, str], start_s: float, tmp_path: Path
    ) -> None:
        path = tmp_path / f"clip.{suffix}"
        tick = Fraction(1, 30) if suffix == "avi" else Fraction(1, 90000)
        times_s = [start_s + t_s for t_s in steady(30, 60)]
        write_clip(path, times_s, noise=20, options=options, time_base=tick)
        whole = path.read_bytes()
        with VideoFile(path) as source:
            assert len(list(source)) == 60
        path.write_bytes(whole[: len(whole) // 2])

        frames: list[Frame] = []
        with VideoFile(path) as source, pytest.raises(SourceError, match="is damaged") as caught:
            frames.extend(source)
        assert 15 < len(frames) < 45
        assert f"after {len(frames)} frames, at {frames[-1].t_s:.2f} s" in str(caught.value)

    def test_a_recording_without_its_index_is_refused(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.mp4", steady(30, 30), noise=20)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(SourceError, match="damaged") as caught, VideoFile(path):
            pass
        assert isinstance(caught.value.__cause__, av.FFmpegError)

    def test_damaged_frames_are_left_out_and_counted(self, tmp_path: Path) -> None:
        path = write_clip(
            tmp_path / "clip.mp4", steady(30, 60), noise=20, options={"movflags": "faststart"}
        )
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        noise = np.random.default_rng(1).bytes(3000)
        data[middle : middle + 3000] = noise
        path.write_bytes(data)
        with VideoFile(path) as source:
            frames = list(source)
        assert source.drops["damaged"] >= 1
        assert frames[-1].id == 59
        assert len(frames) + source.drops.total() == 60
        assert frames[-1].t_s == pytest.approx(59 / 30, abs=1e-3)

    def test_a_picture_with_damage_in_it_is_left_out(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.ts", steady(30, 60), noise=20)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 500] = np.random.default_rng(0).bytes(500)
        path.write_bytes(data)
        with VideoFile(path) as source:
            frames = list(source)
        assert source.drops == Counter({"damaged": 1})
        assert len(frames) == 59
        assert frames[-1].id == 59

    def test_frames_without_a_time_are_not_given_one(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.h264", steady(30, 10), time_base=Fraction(1, 30))
        with pytest.raises(SourceError, match="does not say when"), VideoFile(path):
            pass

    def test_times_that_do_not_increase_are_left_out_and_counted(self, tmp_path: Path) -> None:
        path = write_clip(
            tmp_path / "clip.mkv",
            steady(10, 6),
            codec="mjpeg",
            time_base=Fraction(1, 1000),
            ticks_of=[0, 100, 100, 100, 200, 300].__getitem__,
        )
        with VideoFile(path) as source:
            frames = list(source)
        assert [frame.t_s for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])
        assert [frame.id for frame in frames] == [0, 1, 4, 5]
        assert source.drops == Counter({"time not increasing": 2})

    def test_what_is_not_a_video(self, tmp_path: Path) -> None:
        (tmp_path / "empty.mp4").touch()
        (tmp_path / "words.mp4").write_text("no video at all " * 100)
        (tmp_path / "words.txt").write_text("no video at all " * 100)
        with av.open(str(tmp_path / "sound.wav"), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=8000)
            sound = av.AudioFrame.from_ndarray(
                np.zeros((1, 800), np.int16), format="s16", layout="mono"
            )
            sound.sample_rate = 8000
            container.mux(stream.encode(sound))
        for name, words in {
            "empty.mp4": "not a video",
            "words.mp4": "not a video",
            "words.txt": "no video",
            "sound.wav": "no video",
            ".": "is a folder",
            "absent.mp4": "does not exist",
        }.items():
            with pytest.raises(SourceError, match=words), VideoFile(tmp_path / name):
                pass

    def test_a_name_like_an_address_is_a_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        write_clip(tmp_path / "tcp:12 50%d.mp4", steady(30, 3))
        with VideoFile("tcp:12 50%d.mp4") as source:
            assert len(list(source)) == 3
