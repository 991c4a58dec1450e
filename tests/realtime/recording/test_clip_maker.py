"""Clips of events: what they show, when they are made, and what happens when they cannot be."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from realtime.recording import clip_frames, clip_maker
from realtime.recording.clip_frames import CROP_PX
from realtime.recording.clip_maker import CLIPS_BUSY, CLIPS_WITHOUT_FACE, ClipMaker
from realtime.types import Event, Face, Float32Array, Frame, UInt8Array, Update
from support.builders import AHEAD, NO_POINTS

LABELS = ("none", "positive", "surprise")
ONE_TO_ONE = np.array([(1, 0, -96), (0, 1, -40)], np.float32)
"""The aligned face is 128 pixels of the frame, in its middle."""


def scene(shift: int = 0, size_wh: tuple[int, int] = (320, 240)) -> UInt8Array:
    """A room with a face-like pattern in the middle; `shift` raises its brows."""
    rng = np.random.default_rng(1)
    width, height = size_wh
    image = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 4)
    image = np.clip((image.astype(np.float32) - 128) * 2 + 128, 60, 190).astype(np.uint8)
    for x in (width // 2 - 30, width // 2 + 30):
        cv2.ellipse(image, (x, height // 2 - 40 - shift), (18, 4), 0, 0, 360, (20, 20, 20), -1)
    return np.asarray(image, np.uint8)


STILL, RAISED = scene(), scene(2)
EVENT = Event(0, 1.0, 1.15, 1.3, "surprise", 0.9)


def update(
    t_s: float,
    faces: Sequence[int] = (0,),
    image: UInt8Array = STILL,
    transform: Float32Array = ONE_TO_ONE,
) -> Update:
    found = tuple(
        Face(round(t_s * 1000), i, NO_POINTS, (0, 0, 1, 1), transform, AHEAD) for i in faces
    )
    return Update(Frame(round(t_s * 1000), t_s, image), found, (), (), {})


def times(start_s: float, end_s: float, rate_hz: float) -> list[float]:
    return [start_s + i / rate_hz for i in range(round((end_s - start_s) * rate_hz) + 1)]


def make(
    folder: Path,
    updates: Sequence[Update],
    event: Event = EVENT,
    told_s: float | None = None,
) -> ClipMaker:
    """Feed a maker; the event is told after the frame at `told_s`, or at the end."""
    maker = ClipMaker(folder, LABELS, wait=True)
    is_told = False
    for item in updates:
        maker.add(item)
        if told_s is not None and not is_told and item.frame.t_s >= told_s:
            maker.event(1, event)
            is_told = True
    if not is_told:
        maker.event(1, event)
    maker.close()
    return maker


def usual(rate_hz: float = 20.0, end_s: float = 2.2) -> list[Update]:
    return [
        update(t_s, image=RAISED if 1.05 < t_s < 1.25 else STILL)
        for t_s in times(0.0, end_s, rate_hz)
    ]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "clips").glob("*"))


def movie(path: Path) -> tuple[list[float], list[UInt8Array]]:
    with closing(av.open(str(path))) as container:
        frames = list(container.decode(video=0))
    return (
        [float(frame.time or 0.0) for frame in frames],
        [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in frames],
    )


def clip(folder: Path) -> Path:
    return folder / "clips" / "event-0001.mp4"


def stills(folder: Path) -> UInt8Array:
    image = cv2.imread(str(folder / "clips" / "event-0001.png"))
    assert image is not None
    return np.asarray(image, np.uint8)


def panel(image: UInt8Array, column: int, row: int = 0) -> UInt8Array:
    """A picture of the stills."""
    top, left = 28 + row * (CROP_PX + 8), column * (CROP_PX + 8)
    return image[top : top + CROP_PX, left : left + CROP_PX]


def apart(image: UInt8Array, other: UInt8Array) -> float:
    return float(np.abs(image.astype(float) - other).mean())


# What a clip shows


def test_an_event_has_a_clip_and_stills(tmp_path: Path) -> None:
    maker = make(tmp_path, usual(), told_s=1.6)
    assert files(tmp_path) == ["event-0001.mp4", "event-0001.png"]
    assert not maker.drops


def test_the_clip_has_every_frame_around_the_event_at_a_quarter_of_the_speed(
    tmp_path: Path,
) -> None:
    seen_s = [0.0, *np.cumsum(np.random.default_rng(2).uniform(0.02, 0.06, 80))]
    make(tmp_path, [update(t_s) for t_s in seen_s], told_s=1.6)
    inside = np.array([t_s for t_s in seen_s if 0.5 <= t_s <= 1.8])
    shown_s, _ = movie(clip(tmp_path))
    np.testing.assert_allclose(shown_s, 4 * (inside - inside[0]), atol=1e-3)


@pytest.mark.parametrize("rate_hz", [12.0, 60.0, 240.0])
def test_any_camera_rate(tmp_path: Path, rate_hz: float) -> None:
    make(tmp_path, usual(rate_hz), told_s=1.6)
    shown_s, _ = movie(clip(tmp_path))
    assert len(shown_s) == pytest.approx(1.3 * min(rate_hz, 120), abs=2)


def test_browsers_can_play_it_from_its_first_bytes(tmp_path: Path) -> None:
    make(tmp_path, usual())
    data = clip(tmp_path).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with closing(av.open(str(clip(tmp_path)))) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert context.width % 16 == context.height % 16 == 0  # else the bytes vary


def test_stills_show_the_moments_and_magnify_what_moved(tmp_path: Path) -> None:
    make(tmp_path, usual())
    image = stills(tmp_path)
    assert image.shape[1] == 3 * CROP_PX + 16
    onset, apex, offset = (panel(image, column) for column in range(3))
    assert apart(onset, offset) < 0.1 < apart(onset, apex)
    assert apart(panel(image, 0, row=1), onset) == 0
    assert apart(panel(image, 1, row=1), onset) > 2 * apart(apex, onset)
    assert apart(panel(image, 2, row=1), offset) < 0.5


def test_the_clip_shows_the_face_as_it_was_on_the_left(tmp_path: Path) -> None:
    make(tmp_path, usual())
    shown_s, pictures = movie(clip(tmp_path))
    apex = int(np.argmin(np.abs(np.array(shown_s) / 4 + 0.5 - 1.15)))
    left = pictures[apex][28 : 28 + CROP_PX, :CROP_PX]
    right = pictures[apex][28 : 28 + CROP_PX, -CROP_PX:]
    truth = panel(stills(tmp_path), 1)
    assert apart(left, truth) < 4 < apart(right, truth) + 3
    assert apart(right, truth) > apart(left, truth)


def test_the_aligned_face_fills_the_same_place_whatever_the_frame(tmp_path: Path) -> None:
    large = np.asarray(cv2.resize(STILL, (1280, 960), interpolation=cv2.INTER_CUBIC), np.uint8)
    to_large = np.array([(0.25, 0, -96 + 0.375), (0, 0.25, -40 + 0.375)], np.float32)
    updates = [
        update(t_s, image=large, transform=to_large) if t_s > 1.2 else update(t_s)
        for t_s in times(0, 2.2, 30)
    ]
    make(tmp_path, updates)
    assert apart(panel(stills(tmp_path), 0), panel(stills(tmp_path), 2)) < 3


def test_a_small_face_is_said_to_be_enlarged(tmp_path: Path) -> None:
    small = ONE_TO_ONE * 3
    make(tmp_path / "small", [update(t, transform=small) for t in times(0, 2.2, 12)])
    make(tmp_path / "usual", [update(t) for t in times(0, 2.2, 12)])
    texts = [stills(tmp_path / name)[-22:] for name in ("small", "usual")]
    assert (texts[0] > 100).sum() > 1.2 * (texts[1] > 100).sum()


def test_same_crops_same_pictures(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make(tmp_path / name, usual())
    assert np.array_equal(stills(tmp_path / "a"), stills(tmp_path / "b"))
    (times_s, pictures), (other_s, others) = (movie(clip(tmp_path / name)) for name in ("a", "b"))
    assert times_s == other_s
    # The encoder does not always come to the same bytes.
    assert max(apart(*both) for both in zip(pictures, others, strict=True)) < 1


# Moments that were not seen


def test_a_moment_without_a_picture_is_said_instead_of_shown(tmp_path: Path) -> None:
    hole = [item for item in usual() if not 0.85 < item.frame.t_s < 1.1]
    make(tmp_path, hole)
    image = stills(tmp_path)
    assert panel(image, 0).mean() < 40  # dark, with words
    assert panel(image, 1).mean() > 60
    assert panel(image, 1, row=1).mean() < 40  # nothing to compare with


def test_an_event_at_the_very_start(tmp_path: Path) -> None:
    make(tmp_path, [update(t_s) for t_s in times(1.0, 2.2, 30)])
    shown_s, _ = movie(clip(tmp_path))
    assert shown_s[-1] == pytest.approx(4 * 0.8, abs=0.2)


def test_a_face_that_leaves_right_after(tmp_path: Path) -> None:
    gone = [update(t_s, faces=(0,) if t_s < 1.35 else ()) for t_s in times(0, 2.2, 30)]
    make(tmp_path, gone, told_s=1.6)
    shown_s, _ = movie(clip(tmp_path))
    assert shown_s[-1] == pytest.approx(4 * 0.83, abs=0.2)


def test_an_event_of_a_face_that_was_not_seen_is_counted(tmp_path: Path) -> None:
    maker = make(tmp_path, [update(t_s, faces=(7,)) for t_s in times(0, 2.2, 30)])
    assert maker.drops == {CLIPS_WITHOUT_FACE: 1}
    assert not files(tmp_path)


def test_each_face_has_its_own_clip(tmp_path: Path) -> None:
    maker = ClipMaker(tmp_path, LABELS, wait=True)
    for t_s in times(0, 2.2, 30):
        maker.add(update(t_s, faces=(0, 1) if t_s > 1.2 else (0,)))
    maker.event(1, EVENT)
    maker.event(2, Event(1, 1.4, 1.5, 1.6, "positive", 0.8))
    maker.close()
    assert len(files(tmp_path)) == 4
    first, _ = movie(tmp_path / "clips" / "event-0001.mp4")
    second, _ = movie(tmp_path / "clips" / "event-0002.mp4")
    assert len(first) == 40
    assert len(second) == 27


# When, how many, and what goes wrong


def test_a_clip_is_made_once_its_end_was_seen(tmp_path: Path) -> None:
    maker = ClipMaker(tmp_path, LABELS, wait=True)
    written = threading.Event()
    make_one = maker._make

    def watched(job: clip_frames.ClipJob) -> None:
        make_one(job)
        written.set()

    maker._make = watched  # type: ignore[method-assign]
    for t_s in times(0, 1.75, 30):
        maker.add(update(t_s))
    maker.event(1, EVENT)
    maker.add(update(1.79))
    assert not written.wait(0.05)
    maker.add(update(1.81))
    assert written.wait(10)
    maker.close()


def stuck_maker(folder: Path) -> tuple[ClipMaker, threading.Event]:
    """A live maker whose thread waits in its first clip, and what lets it go on."""
    maker = ClipMaker(folder, LABELS, wait=False)
    begun, go_on = threading.Event(), threading.Event()

    def slow(job: clip_frames.ClipJob) -> None:
        begun.set()
        go_on.wait(10)

    maker._make = slow  # type: ignore[method-assign]
    for t_s in times(0, 1.7, 30):
        maker.add(update(t_s))
    maker.event(1, EVENT)
    maker.add(update(1.85))
    assert begun.wait(10)
    return maker, go_on


def test_live_clips_that_find_no_place_are_counted(tmp_path: Path) -> None:
    maker, go_on = stuck_maker(tmp_path)
    for number in range(clip_maker.MAX_WAITING + 2):
        maker.event(2 + number, EVENT)
    maker.add(update(1.9))
    assert maker.drops == {CLIPS_BUSY: 2}
    go_on.set()
    maker.close()


def test_what_was_not_begun_in_time_is_left_out_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_maker, "JOIN_S", 0.05)
    maker, go_on = stuck_maker(tmp_path)
    for number in range(3):
        maker.event(2 + number, EVENT)
    maker.close(until_s=0.0)
    assert maker.drops == {CLIPS_BUSY: 3}
    go_on.set()


def test_memory_is_bounded_and_the_newest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_maker, "RING_BYTES", 50 * 3 * CROP_PX * CROP_PX)
    maker = ClipMaker(tmp_path, LABELS, wait=True)
    for t_s in times(0, 2, 30):
        maker.add(update(t_s, faces=(0, 1)))
    kept = [crop.t_s for crops in maker._crops.values() for crop in crops]
    assert len(kept) == 50
    assert max(kept) == 2.0
    maker.close()


def test_a_full_disk_is_told_once_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, pictures: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(clip_maker, "_encode", full)
    maker = ClipMaker(tmp_path, LABELS, wait=True)
    for t_s in times(0, 2.2, 30):
        maker.add(update(t_s))
    maker.event(1, EVENT)
    with pytest.raises(OSError, match="No space"):
        maker.close()
    assert files(tmp_path) == ["event-0001.png"]
    maker.close()


def test_who_asked_is_told_of_each_clip_when_it_is_there(tmp_path: Path) -> None:
    told: list[tuple[int, bool, list[str]]] = []
    first_told = threading.Event()

    def on_made(event_id: int, is_made: bool) -> None:
        told.append((event_id, is_made, files(tmp_path)))
        first_told.set()

    maker = ClipMaker(tmp_path, LABELS, wait=True, on_made=on_made)
    for item in usual():
        maker.add(item)
    maker.event(1, EVENT)
    maker.add(update(2.3))
    assert first_told.wait(20)  # before anything else is asked of the maker
    assert told == [(1, True, ["event-0001.mp4", "event-0001.png"])]
    maker.event(2, Event(7, 1.0, 1.15, 1.3, "surprise", 0.9))  # of a face that was never there
    maker.add(update(2.35))
    assert told[1:] == [(2, False, ["event-0001.mp4", "event-0001.png"])]
    maker.event(3, EVENT)
    maker.close()
    assert [(event_id, is_made) for event_id, is_made, _ in told[2:]] == [(3, True)]


def test_who_asked_is_told_of_clips_that_there_will_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_maker, "JOIN_S", 0.05)
    told: list[tuple[int, bool]] = []
    maker, go_on = stuck_maker(tmp_path)
    maker._on_made = lambda *what: told.append(what)
    for number in range(clip_maker.MAX_WAITING + 1):
        maker.event(2 + number, EVENT)
    maker.add(update(1.9))
    assert told == [(clip_maker.MAX_WAITING + 2, False)]
    maker.close(until_s=0.0)
    assert told[1:] == [(2 + number, False) for number in range(clip_maker.MAX_WAITING)]
    go_on.set()
    maker._thread.join(10)
    assert told[-1] == (1, True)
    assert len(told) == clip_maker.MAX_WAITING + 2


def test_after_a_failure_nobody_waits_for_a_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, pictures: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(clip_maker, "_encode", full)
    told: list[tuple[int, bool]] = []
    maker = ClipMaker(tmp_path, LABELS, wait=True, on_made=lambda *what: told.append(what))
    for item in usual():
        maker.add(item)
    for number in range(1, 4):
        maker.event(number, EVENT)
    with pytest.raises(OSError, match="No space"):
        maker.add(update(2.3))
        maker._thread.join(10)
        maker.event(4, EVENT)
    maker.event(5, EVENT)
    maker.close()
    assert sorted(told) == [(1, False), (2, False), (3, False), (5, False)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority here")
def test_clips_leave_the_processor_to_the_live_picture(tmp_path: Path) -> None:
    seen: list[int] = []
    before = os.getpriority(os.PRIO_PROCESS, 0)

    def on_made(event_id: int, is_made: bool) -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    maker = ClipMaker(tmp_path, LABELS, wait=True, on_made=on_made)
    for item in usual():
        maker.add(item)
    maker.event(1, EVENT)
    maker.close()
    assert seen == [min(19, before + clip_maker.CLIPS_NICENESS)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_nothing_is_written_without_events(tmp_path: Path) -> None:
    maker = ClipMaker(tmp_path, LABELS, wait=False)
    maker.add(update(0.0))
    maker.close()
    maker.close()
    assert not (tmp_path / "clips").exists()
