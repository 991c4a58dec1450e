"""Pictures of a page as a source of frames: order, holes, silence, damage."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from realtime.errors import SourceError
from realtime.types import Frame
from realtime.web.live.browser_camera import MAX_DAMAGED, MAX_WAITING, BrowserCamera, decode
from realtime.web.live.protocol import Picture, ProtocolError
from support.live_server import jpeg_of

SIZE_WH = (96, 80)
GRAY = {level: jpeg_of(np.full((80, 96, 3), level, np.uint8)) for level in (40, 200)}


def picture(
    seq: int, t_ms: float, missed: int = 0, replaced: int = 0, jpeg: bytes = GRAY[40]
) -> Picture:
    return Picture(seq, t_ms, missed, replaced, SIZE_WH, jpeg)


@contextmanager
def reading(camera: BrowserCamera) -> Iterator[Iterator[Frame]]:
    """Frames of a camera that has had its first picture."""
    with camera:
        yield iter(camera)


def test_frames_have_the_times_of_the_page() -> None:
    camera = BrowserCamera()
    for seq in range(3):
        camera.put(picture(seq, 1000.0 + 30.0 * seq, jpeg=GRAY[200 if seq == 1 else 40]))
    with reading(camera) as frames:
        read = [next(frames) for _ in range(3)]
        assert camera.seq == 2
    assert [frame.id for frame in read] == [0, 1, 2]
    assert [frame.t_s for frame in read] == [1.0, 1.03, 1.06]
    assert [round(frame.image_bgr.mean()) for frame in read] == [40, 200, 40]
    assert camera.info.size_wh == SIZE_WH
    assert not camera.drops


def test_every_lost_frame_leaves_a_hole_and_is_counted_with_its_cause() -> None:
    camera = BrowserCamera()
    camera.put(picture(0, 0.0))
    with reading(camera) as frames:
        ids = [next(frames).id]
        for seen in (
            picture(1, 30.0, missed=2),
            picture(2, 60.0, missed=2, replaced=3),
            picture(6, 90.0, missed=2, replaced=6),  # numbered with those that were replaced
            picture(8, 120.0, missed=2, replaced=6),  # lost without a word
        ):
            camera.put(seen)
            ids.append(next(frames).id)
    assert ids == [0, 3, 7, 11, 13]
    assert camera.drops == {"page missed": 2, "page busy": 7}
    assert ids[-1] + 1 == len(ids) + camera.drops.total()


def test_a_reader_that_is_behind_jumps_to_the_newest() -> None:
    camera = BrowserCamera()
    camera.put(picture(0, 0.0))
    with reading(camera) as frames:
        first = next(frames)
        for seq in range(1, 6):
            camera.put(picture(seq, 30.0 * seq))
        newest = next(frames)
    assert (first.id, newest.id) == (0, 5)
    assert camera.drops == {"late": 4}


def test_pictures_wait_in_bounded_number_whatever_their_times() -> None:
    camera = BrowserCamera()
    for seq in range(10 * MAX_WAITING):
        camera.put(picture(seq, 1e-6 * seq + 1e-9))
    assert camera.drops["late"] >= 9 * (MAX_WAITING - 1)


@pytest.mark.parametrize(
    "second",
    [
        picture(5, 130.0, missed=1, replaced=1),  # the same number
        picture(4, 130.0, missed=1, replaced=1),
        picture(6, 100.0, missed=1, replaced=1),  # the same time
        picture(6, 99.0, missed=1, replaced=1),
        picture(6, 130.0, missed=0, replaced=1),
        picture(6, 130.0, missed=1, replaced=0),
    ],
)
def test_pictures_out_of_order_are_refused(second: Picture) -> None:
    camera = BrowserCamera()
    camera.put(picture(5, 100.0, missed=1, replaced=1))
    with pytest.raises(ProtocolError):
        camera.put(second)


def test_a_phone_may_be_turned() -> None:
    camera = BrowserCamera()
    camera.put(picture(0, 0.0))
    with reading(camera) as frames:
        assert next(frames).image_bgr.shape == (80, 96, 3)
        turned = jpeg_of(np.full((96, 80, 3), 40, np.uint8))
        camera.put(Picture(1, 30.0, 0, 0, (80, 96), turned))
        assert next(frames).image_bgr.shape == (96, 80, 3)
        assert camera.info.size_wh == (80, 96)


@pytest.mark.parametrize(
    "jpeg",
    [
        GRAY[40][:-200],  # cut off: what a decoder fills in would look like motion
        jpeg_of(np.full((96, 80, 3), 40, np.uint8)),  # of another size than it was said to be
        b"\xff\xd9",
    ],
)
def test_damaged_pictures_are_counted_and_left_out(jpeg: bytes) -> None:
    assert decode(picture(0, 0.0, jpeg=jpeg)) is None
    camera = BrowserCamera()
    camera.put(picture(0, 0.0, jpeg=jpeg))
    camera.put(picture(1, 30.0))
    with reading(camera) as frames:
        assert next(frames).id == 1
    assert camera.drops == {"damaged": 1}


def test_many_damaged_pictures_in_a_row_come_from_no_camera() -> None:
    camera = BrowserCamera()
    camera.put(picture(0, 0.0))
    with reading(camera) as frames:
        next(frames)
        for seq in range(1, MAX_DAMAGED):
            camera.put(picture(2 * seq, 100.0 * seq, jpeg=b"no picture"))
            camera.put(picture(2 * seq + 1, 100.0 * seq + 50))
            next(frames)  # a good one between them
        putter = threading.Thread(target=put_slowly, args=(camera, 1000))
        putter.start()
        with pytest.raises(ProtocolError, match="damaged"):
            next(frames)
        putter.join()
    assert camera.drops["damaged"] > MAX_DAMAGED


def put_slowly(camera: BrowserCamera, first: int) -> None:
    """Damaged pictures, none of which the reader jumps over."""
    for seq in range(first, first + MAX_DAMAGED):
        before = camera.drops["damaged"]
        camera.put(picture(seq, 1e5 + 30.0 * seq, jpeg=b"no picture"))
        give_up_s = time.monotonic() + 10
        while camera.drops["damaged"] == before and time.monotonic() < give_up_s:
            time.sleep(0.001)


def test_silence_ends_it_with_a_sentence() -> None:
    camera = BrowserCamera(silence_s=0.1)
    camera.put(picture(0, 0.0))
    with reading(camera) as frames:
        next(frames)
        with pytest.raises(SourceError, match=r"No picture .*; check .*\."):
            next(frames)
    with pytest.raises(SourceError), BrowserCamera(silence_s=0.1):
        pass  # entering waits for the first picture


def test_silence_is_no_fault_while_the_socket_is_gone() -> None:
    camera = BrowserCamera(silence_s=0.1)
    camera.put(picture(0, 0.0))
    idle = threading.Event()
    camera.on_idle = idle.set
    with reading(camera) as frames:
        next(frames)
        camera.pause()

        def come_back() -> None:
            idle.wait(10)
            camera.go_on()
            camera.put(picture(1, 90.0))

        putter = threading.Thread(target=come_back)
        putter.start()
        assert next(frames).id == 1
        putter.join()
    assert idle.is_set()


def test_stop_ends_a_source_that_waits_for_its_first_picture() -> None:
    camera = BrowserCamera()
    stopper = threading.Timer(0.05, camera.stop)
    stopper.start()
    with camera:
        assert list(camera) == []
    stopper.join()


def test_neither_info_nor_frames_before_entering() -> None:
    camera = BrowserCamera()
    with pytest.raises(RuntimeError, match="enter the source"):
        _ = camera.info
    with pytest.raises(RuntimeError, match="enter the source"):
        next(iter(camera))
