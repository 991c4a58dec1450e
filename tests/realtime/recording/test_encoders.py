"""The encoder that makes the video is one that works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from realtime.recording import encoders, video_writer
from realtime.recording.encoders import (
    HARDWARE_ENCODERS,
    SOFTWARE_ENCODER,
    TICKS_HZ,
    Encoder,
    encoder_works,
    working_encoder,
)
from realtime.recording.video_writer import VideoWriter
from realtime.types import UInt8Array

# A second software encoder of FFmpeg's stands in for one in hardware.
STAND_IN = Encoder("libopenh264", {"g": "100000"})
NOT_THERE = Encoder("h264_of_a_dream", {})
DOES_NOT_OPEN = Encoder("libx264", {"preset": "none of them"})

needs_stand_in = pytest.mark.skipif(
    "libopenh264" not in av.codecs_available, reason="PyAV was built without libopenh264"
)


@pytest.fixture(autouse=True)
def _try_again() -> Iterator[None]:
    working_encoder.cache_clear()
    yield
    working_encoder.cache_clear()


def use(monkeypatch: pytest.MonkeyPatch, *wanted: Encoder) -> None:
    monkeypatch.setattr(encoders, "HARDWARE_ENCODERS", wanted)


def picture(gray: int, size_wh: tuple[int, int] = (320, 240)) -> UInt8Array:
    return np.full((size_wh[1], size_wh[0], 3), gray, np.uint8)


TIMES_S = [0.0, 0.03, 0.071, 0.1, 0.4, 1.03, 1.07, 2.2]


def write(path: Path, size_wh: tuple[int, int] = (320, 240)) -> Encoder:
    with VideoWriter(path) as writer:
        assert writer.encoder is None
        for i, t_s in enumerate(TIMES_S):
            writer.write(t_s, picture(20 * (i + 1), size_wh))
        assert writer.encoder is not None
        return writer.encoder


def assert_is_whole(path: Path) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        codec = stream.codec_context
        tags = (codec.pix_fmt, int(codec.colorspace), int(codec.color_range))
    assert [frame.pts for frame in frames] == [round(t_s * TICKS_HZ) for t_s in TIMES_S]
    grays = [float(frame.to_ndarray(format="bgr24").mean()) for frame in frames]
    assert grays == pytest.approx([20 * (i + 1) for i in range(len(TIMES_S))], abs=4)
    assert tags == ("yuv420p", int(Colorspace.SMPTE170M), int(ColorRange.MPEG))
    with av.open(str(path)) as container:
        keys_s = [packet.pts for packet in container.demux(video=0) if packet.is_keyframe]
    seconds = (0.0, 1.03, 2.2)
    assert {round(t_s * TICKS_HZ) for t_s in seconds} <= set(keys_s)


def test_software_encoder_passes_its_own_test() -> None:
    assert encoder_works(SOFTWARE_ENCODER)


@pytest.mark.parametrize(
    "encoder",
    [
        NOT_THERE,
        DOES_NOT_OPEN,
        Encoder("libx264", {"preset": "ultrafast", "bf": "2"}),  # pictures in another order
        Encoder("libx264", {"preset": "medium", "bf": "0"}),  # looks ahead for a second
    ],
    ids=["not there", "does not open", "order", "holds back"],
)
def test_encoder_that_does_not_work_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Encoder
) -> None:
    assert not encoder_works(encoder)
    use(monkeypatch, encoder)
    assert write(tmp_path / "a.mp4") == SOFTWARE_ENCODER
    assert_is_whole(tmp_path / "a.mp4")


@needs_stand_in
def test_hardware_encoder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, NOT_THERE, DOES_NOT_OPEN, STAND_IN)
    assert write(tmp_path / "a.mp4") == STAND_IN
    assert STAND_IN.is_hardware
    assert_is_whole(tmp_path / "a.mp4")


@needs_stand_in
def test_encoders_are_tried_once_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, STAND_IN)
    tried = []

    def count(encoder: Encoder) -> bool:
        tried.append(encoder)
        return encoder_works(encoder)

    monkeypatch.setattr(encoders, "encoder_works", count)
    VideoWriter(tmp_path / "a.mp4")
    assert not tried  # nobody waits for it before the first frame
    for name in ("b.mp4", "c.mp4"):
        write(tmp_path / name)
    assert tried == [STAND_IN]


@needs_stand_in
@pytest.mark.parametrize("size_wh", [(320, 240), (2, 2)])
def test_software_steps_in_when_the_card_takes_no_further_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size_wh: tuple[int, int]
) -> None:
    use(monkeypatch, STAND_IN)
    assert working_encoder() == STAND_IN
    open_stream = encoders.open_stream

    def fail(output: Any, encoder: Encoder, size_wh: tuple[int, int]) -> av.VideoStream:
        if encoder == STAND_IN:
            raise av.FFmpegError(12, "no more sessions")
        return open_stream(output, encoder, size_wh)

    monkeypatch.setattr(video_writer, "open_stream", fail)
    assert write(tmp_path / "a.mp4", size_wh) == SOFTWARE_ENCODER
    assert_is_whole(tmp_path / "a.mp4")


@pytest.mark.parametrize("encoder", HARDWARE_ENCODERS, ids=lambda encoder: encoder.name)
def test_each_hardware_encoder_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Encoder
) -> None:
    if not encoder_works(encoder):
        pytest.skip(f"{encoder.name} does not work on this machine")
    use(monkeypatch, encoder)
    assert write(tmp_path / "a.mp4") == encoder
    assert_is_whole(tmp_path / "a.mp4")
