"""Opening of a source by what its user names."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.errors import SourceError
from realtime.sources import opening, webcam
from realtime.sources.network_stream import NetworkStream
from realtime.sources.opening import open_source
from realtime.sources.paced_file import PacedFile
from realtime.sources.video_file import VideoFile
from realtime.sources.webcam import Camera, Webcam
from support.sources import (
    FakeCamera,
    FakeCameras,
    steady,
    write_clip,
)


class TestOpenSource:
    @pytest.fixture
    def cameras(self, monkeypatch: pytest.MonkeyPatch) -> list[Camera]:
        """The cameras that the system lists; a test fills it."""
        listed: list[Camera] = []
        monkeypatch.setattr(opening, "camera_candidates", lambda: listed)
        return listed

    def test_auto_takes_the_first_camera_that_delivers(self, cameras: list[Camera]) -> None:
        cameras += [Camera(0, "dead"), Camera(2, "good")]
        devices = {0: FakeCamera(steps=[]), 2: FakeCamera()}
        source, why = open_source("auto", open_capture=devices.__getitem__)
        assert isinstance(source, Webcam)
        assert "camera 2 (good)" in why
        assert devices[0].released
        assert devices[2].released  # and is free to be opened

    def test_auto_without_a_camera_is_the_demo(self, cameras: list[Camera]) -> None:
        source, why = open_source("auto")
        assert isinstance(source, PacedFile)
        assert why == "Using the built-in demo clip, because no camera was found."

    def test_auto_says_why_a_camera_was_not_taken(self, cameras: list[Camera]) -> None:
        cameras += [Camera(0, "a", "no permission for /dev/video0"), Camera(1, "b")]
        source, why = open_source(
            "auto", open_capture=FakeCameras(FakeCamera(is_there=False)), live=False
        )
        assert isinstance(source, VideoFile)
        assert "camera 0: no permission" in why
        assert "camera 1 is in use" in why

    @pytest.mark.parametrize(
        ("name", "live", "kind"),
        [
            ("3", True, Webcam),
            (0, True, Webcam),
            (Path("3"), True, PacedFile),
            (Path("demo"), False, VideoFile),
            ("demo", True, PacedFile),
            ("demo", False, VideoFile),
            ("rtsp://camera/live", True, NetworkStream),
            ("a/clip.mp4", True, PacedFile),
            ("a/clip.mp4", False, VideoFile),
            ("file:///a/clip.mp4", False, VideoFile),
        ],
    )
    def test_what_a_name_means(self, name: int | str | Path, live: bool, kind: type) -> None:
        source, why = open_source(name, live=live)
        assert type(source) is kind
        assert why.startswith("Using ")
        assert why.endswith(".")

    def test_an_address_of_a_file_opens_it(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "a b.mp4", steady(30, 3))
        source, _ = open_source(path.as_uri(), live=False)
        with source:
            assert len(list(source)) == 3

    def test_an_empty_name_is_refused(self) -> None:
        with pytest.raises(SourceError, match="is empty"):
            open_source(" ")

    def test_linux_lists_cameras_and_not_their_metadata(self, tmp_path: Path) -> None:
        for device, index, name in [(10, "0", "b"), (2, "0", "a"), (3, "1", "a")]:
            (tmp_path / "dev").mkdir(exist_ok=True)
            (tmp_path / "dev" / f"video{device}").touch()
            facts = tmp_path / "class" / f"video{device}"
            facts.mkdir(parents=True)
            (facts / "index").write_text(f"{index}\n")
            (facts / "name").write_text(f"{name}\n")
        (tmp_path / "dev" / "video-codec").touch()
        found = webcam._linux_cameras(tmp_path / "dev", tmp_path / "class")
        assert found == [Camera(2, "a"), Camera(10, "b")]
