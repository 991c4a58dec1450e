"""Cameras as sources."""

from __future__ import annotations

import time
import traceback
from itertools import chain, islice, repeat

import cv2
import pytest

from realtime.errors import SourceError
from realtime.sources.webcam import Webcam
from realtime.types import Frame
from support.sources import (
    FakeCamera,
    FakeCameras,
    capture_threads,
)


class TestWebcam:
    def test_the_best_rate_that_the_camera_offers(self) -> None:
        fast = FakeCamera(rates_hz=(15.0, 30.0, 60.0))
        with Webcam(0, open_capture=FakeCameras(fast)) as source:
            assert source.info.rate_hz == 60
        assert fast.settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
        assert fast.released
        with Webcam(0, open_capture=FakeCameras(FakeCamera(rates_hz=(15.0,)))) as source:
            assert source.info.rate_hz == 15

    def test_a_camera_that_refuses_the_settings_is_used_as_it_is(self) -> None:
        refused, plain = FakeCamera(takes_mjpg=False), FakeCamera()
        with Webcam(0, open_capture=FakeCameras(refused, plain)) as source:
            next(iter(source))
            assert source.info.rate_hz is None
        assert refused.released
        assert not plain.settings

    def test_a_gray_camera_delivers_bgr(self) -> None:
        camera = FakeCamera(channels=None)
        with Webcam(0, open_capture=FakeCameras(camera)) as source:
            frame = next(iter(source))
        assert frame.image_bgr.shape == (48, 64, 3)

    def test_a_camera_with_pictures_of_an_unknown_kind(self) -> None:
        camera = FakeCamera(channels=7)
        with (
            pytest.raises(SourceError, match="of a kind that is not known"),
            Webcam(0, open_capture=FakeCameras(camera)),
        ):
            pass

    def test_times_are_monotonic_capture_times(self) -> None:
        before_s = time.monotonic()
        with Webcam(0, open_capture=FakeCameras(FakeCamera())) as source:
            frame = next(iter(source))
        assert before_s < frame.t_s < time.monotonic()

    def test_an_unplugged_camera_that_returns(self) -> None:
        first = FakeCamera(["frame"] * 5)
        absent = FakeCamera(is_there=False)
        back = FakeCamera()
        with Webcam(0, open_capture=FakeCameras(first, absent, absent, back)) as source:
            frames = list(islice(source, 20))
        assert first.released
        assert source.drops["camera lost"] == 1
        assert frames[-1].id >= 20  # the outage left a hole

    def test_a_camera_that_stays_away(self) -> None:
        cameras = FakeCameras(FakeCamera(["frame"] * 5), FakeCamera(is_there=False))
        frames: list[Frame] = []
        with (
            pytest.raises(SourceError, match="did not come back") as caught,
            Webcam(0, reconnect_s=0.0, open_capture=cameras) as source,
        ):
            frames.extend(source)
        assert isinstance(caught.value.__cause__, SourceError)
        assert source.drops["camera lost"] == 1
        assert not capture_threads()

    def test_torn_pictures_are_counted(self) -> None:
        steps = ["frame", "frame", "torn", "torn"]
        camera = FakeCamera(chain(steps, repeat("frame")))
        with Webcam(0, open_capture=FakeCameras(camera)) as source:
            list(islice(source, 5))
        assert source.drops["damaged"] == 2

    def test_a_driver_that_raises(self) -> None:
        camera = FakeCamera(chain(["frame"] * 3, [RuntimeError("a defect")]))
        with (
            pytest.raises(RuntimeError, match="a defect") as caught,
            Webcam(0, open_capture=FakeCameras(camera)) as source,
        ):
            list(source)
        names = [step.name for step in traceback.extract_tb(caught.value.__traceback__)]
        assert "grab" in names
        assert camera.released

    def test_an_error_of_opencv_counts_as_an_outage(self) -> None:
        camera = FakeCamera(chain(["frame"] * 3, [cv2.error("unplugged")]))
        with Webcam(0, open_capture=FakeCameras(camera, FakeCamera())) as source:
            list(islice(source, 10))
        assert source.drops["camera lost"] == 1

    def test_a_camera_that_hangs(self) -> None:
        camera = FakeCamera(chain(["frame"] * 3, ["hang"]))
        cameras = FakeCameras(camera)
        with Webcam(0, open_capture=cameras, silence_s=0.5, reconnect_s=0.0) as source:
            with pytest.raises(SourceError, match="delivered nothing"):
                list(source)
            camera.let_go.set()
        assert not capture_threads()
